"""Creating an installation: `init`."""

from collections.abc import Mapping
from pathlib import Path

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.settings.example import explained

#: What `init` sets: ports on this machine only, and an audit trail that is signed.
FIRST_DAY: Mapping[str, object] = {
    "form": 2,
    "site": {"name": "Example Hospital", "authority": "EXAMPLE"},
    "model": {"bundle": "demo"},
    "heads": {"reduced_lvef": {}, "troponin": {}, "interpretation": {"paced": "score"}},
    "listeners": {"dicom": [{"host": "127.0.0.1", "port": 11112}], "hl7": [{"host": "127.0.0.1", "port": 2575}]},
    "audit": {"key_file": "audit-key"},
}


def write_installation(folder: Path) -> Path:
    """Write settings.toml, the key of the audit trail and an empty store into `folder`; the path of the settings.

    Raises InputError where the folder already holds an installation: nothing is overwritten.
    """
    from ecgfm_clinical.staging import migrations
    from ecgfm_clinical.staging.signed_heads import Signer

    path = folder / "settings.toml"
    if path.exists():
        raise InputError(f"{path} exists and is left as it is; choose another folder, or edit that file")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(example_settings(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; choose a folder of your own") from error
    read = read_settings(path)
    migrations.upgrade(read.store_url)
    if read.audit.key_file is not None:
        Signer.create(read.resolve(read.audit.key_file))
    return path


def example_settings() -> str:
    """The commented settings that `init` writes: every key, with what it means."""
    return explained(FIRST_DAY)
