"""Reads the ejection fraction that the text of a report states of the present study."""
