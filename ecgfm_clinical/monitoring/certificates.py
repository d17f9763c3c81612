"""When the certificates that this installation shows come to their end."""

from datetime import datetime
from pathlib import Path

from cryptography import x509


def expiry_of(path: Path) -> datetime | None:
    """The end of the first certificate of a PEM file that ends; None where the file cannot be read as one."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    return min(one.not_valid_after_utc for one in certificates)
