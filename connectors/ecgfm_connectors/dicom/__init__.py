"""DICOM: ECG waveform objects, and the services that bring them."""
