"""HL7 v2: MLLP framing, messages, ECGs inside ORU^R01, results out as ORU^R01."""
