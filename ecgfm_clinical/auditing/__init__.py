"""The audit trail that leaves the house: DICOM audit messages for an audit record repository."""
