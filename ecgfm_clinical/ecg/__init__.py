"""What one ECG shows by itself: its beats, its age, whether it can be judged, its drawing."""
