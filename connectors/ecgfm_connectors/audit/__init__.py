"""Audit trail messages as DICOM defines them (PS3.15 A.5), and their way to an audit record repository (A.6)."""
