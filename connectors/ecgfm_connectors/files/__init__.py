"""ECG files of other formats, one module a format, and the folder they are dropped in."""
