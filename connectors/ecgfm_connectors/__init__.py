"""The hospital side: DICOM, HL7 and ECG file formats in, HL7 results out. No SQL, no torch."""
