"""Creating an installation, and trying each of its parts."""

import errno
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ecgfm_clinical import wiring
from ecgfm_clinical.errors import ClinicalError, InputError
from ecgfm_clinical.settings import Settings, read_settings
from ecgfm_connectors.errors import ConnectorError


def write_installation(folder: Path) -> Path:
    """Write settings.toml and an empty store into `folder`; the path of the settings.

    Raises InputError where the folder already holds an installation: nothing is overwritten.
    """
    from ecgfm_clinical.staging import migrations

    path = folder / "settings.toml"
    if path.exists():
        raise InputError(f"{path} exists and is left as it is; choose another folder, or edit that file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(example_settings(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; choose a folder of your own") from error
    migrations.upgrade(read_settings(path).store_url)
    return path


def example_settings() -> str:
    """The commented settings that `init` writes; the same text as deploy/settings.example.toml."""
    return (files("ecgfm_clinical") / "settings.example.toml").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """What trying one part showed."""

    part: str
    ok: bool
    text: str


def check_parts(settings: Settings) -> Iterator[CheckLine]:
    """Try every configured part, one line each; a part that fails keeps none of the others from being tried."""
    yield _try("store", lambda: _check_store(settings))
    yield _try("model", lambda: _check_model(settings))
    for dicom in settings.listeners.dicom:
        yield _try(f"listener {dicom.name}", lambda d=dicom: _check_port(d.host, d.port))  # type: ignore[misc]  # bound now
    for hl7 in settings.listeners.hl7:
        yield _try(f"listener {hl7.name}", lambda h=hl7: _check_port(h.host, h.port))  # type: ignore[misc]  # bound now
    for source, _ in wiring.build_sources(settings):
        yield _try(f"source {source.name}", source.check)
    for destination, _ in wiring.build_destinations(settings):
        yield _try(f"destination {destination.name}", destination.check)


def _try(part: str, attempt: Callable[[], str]) -> CheckLine:
    try:
        return CheckLine(part=part, ok=True, text=attempt())
    except (ClinicalError, ConnectorError) as error:
        return CheckLine(part=part, ok=False, text=str(error))


def _check_store(settings: Settings) -> str:
    store = wiring.open_store(settings)
    try:
        counts = store.counts()
    finally:
        store.close()
    free_mb = shutil.disk_usage(settings.folder).free // 1_000_000
    if free_mb < settings.store.min_free_mb:
        raise InputError(
            f"{free_mb} MB of disk are free, store.min_free_mb asks for {settings.store.min_free_mb}; make room"
        )
    return f"answers; {counts.received} ECGs received, {counts.waiting} waiting"


def _check_model(settings: Settings) -> str:
    predictor = wiring.open_predictor(settings)
    demo = ", NOT FOR CLINICAL USE" if predictor.demo else ""
    heads = ", ".join(predictor.labels)
    return f"{predictor.model_name} {predictor.model_version} ({predictor.model_id[:12]}) on {predictor.runtime}: {heads}{demo}"


def _check_port(host: str, port: int) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            cause = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound: {error.strerror}"
            raise InputError(
                f"port {port} on {host} {cause}; if `ecgfm-clinical run` is running this is right, else choose another port"
            ) from error
    return f"port {port} on {host} is free"
