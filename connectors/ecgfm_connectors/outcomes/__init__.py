"""Reads what an echo laboratory or a clinical laboratory measured, or says why it was left out."""
