"""What is asked for ECGs: folders, SFTP servers, archives."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from ecgfm_clinical.settings.part import AeTitle, Part, Port, Reachable, Sender, Tls


class _Drop(Sender):
    """What every folder has in common into which another system drops ECG files."""

    processed: Literal["auto", "keep", "remove"] = Field(
        default="auto",
        description="what becomes of a file that the store has: kept in processed/, or removed; auto: removed where "
        "store.key_file is set, because the store holds it encrypted",
    )


class WatchedFolder(_Drop):
    """A folder into which another system drops ECG files."""

    name: str
    path: Path
    every_seconds: float = Field(default=30, gt=0)
    stable_seconds: float = Field(
        default=2, ge=0, description="a file is taken once its size has not changed this long"
    )


class SftpSource(_Drop):
    """A folder on an SFTP server from which ECG files are fetched."""

    name: str
    host: str
    port: Port = 22
    user: str
    known_hosts: Path = Field(description="file with the server's host key; a server that is not in it is refused")
    key: Path | None = Field(default=None, description="private key file")
    password_file: Path | None = Field(default=None, description="file that holds the password, where there is no key")
    folder: str = "."
    every_seconds: float = Field(default=60, gt=0)
    stable_seconds: float = Field(
        default=30, ge=0, description="a file is taken once its size has not changed this long"
    )


class _Archive(Sender, Reachable):
    """What every archive that is asked for ECGs has in common."""

    name: str
    every_seconds: float = Field(default=300, gt=0)
    modality: str = Field(default="ECG", description="(0008,0060) of the series, SR for reports; each is checked again")
    lookback_days: float = Field(default=7, gt=0, description="how far back the very first pull goes")
    overlap_days: float = Field(default=2, ge=0, description="how far each pull goes back again: carts sync late")
    tls: Tls | None = None

    @property
    def lookback(self) -> timedelta:
        return timedelta(days=self.lookback_days)

    @property
    def overlap(self) -> timedelta:
        return timedelta(days=self.overlap_days)


class DicomSource(_Archive):
    """A PACS that is asked by C-FIND, and sends by C-MOVE or C-GET."""

    host: str
    port: Port
    ae_title: AeTitle = Field(description="theirs")
    calling: AeTitle = Field(default="ECGFM", description="ours; for C-MOVE their table must name it with our port")
    method: Literal["move", "get"] = "move"
    receive_host: str = "0.0.0.0"
    receive_port: Port | None = Field(
        default=None, description="port opened for the time of a C-MOVE; without it the archive sends to a listener"
    )


class DicomWebSource(_Archive):
    """A PACS that is asked by QIDO-RS and WADO-RS."""

    url: str = Field(description="service root, such as https://pacs.example/dicom-web")
    authorization_file: Path | None = Field(default=None, description="file that holds the Authorization header")
    connections: int = Field(default=4, ge=1, le=32)


class Sources(Part):
    folder: tuple[WatchedFolder, ...] = ()
    sftp: tuple[SftpSource, ...] = ()
    dicom: tuple[DicomSource, ...] = ()
    dicomweb: tuple[DicomWebSource, ...] = ()

    @property
    def all(self) -> "tuple[WatchedFolder | SftpSource | DicomSource | DicomWebSource, ...]":
        return (*self.folder, *self.sftp, *self.dicom, *self.dicomweb)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.all)  # repeats included, so that they can be refused
