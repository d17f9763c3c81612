"""Measured outcomes in HL7 v2 messages: what the OBXs of one order say of an ejection fraction or a troponin."""
