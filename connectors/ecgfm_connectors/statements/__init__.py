"""What devices say of an ECG, as data: one small vocabulary for codes and words of every maker."""
