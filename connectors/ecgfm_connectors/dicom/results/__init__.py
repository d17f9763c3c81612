"""Results as DICOM objects: measurement report, page as PDF, rejection note; and their way to a PACS."""
