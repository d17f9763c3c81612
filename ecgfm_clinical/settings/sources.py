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
        description='a file that the store has is kept or removed: "keep", "remove"; "auto": removed where '
        "store.key_file is set, because the store holds it encrypted",
    )


class WatchedFolder(_Drop):
    """A folder into which another system drops ECG files."""

    name: str = Field(description="in status, logs and the audit trail", examples=["drop"])
    path: Path = Field(description="read files are moved into its sub-folders processed and failed", examples=["drop"])
    every_seconds: float = Field(default=30, gt=0, description="how often it is looked at")
    stable_seconds: float = Field(
        default=2, ge=0, description="a file is taken once its size has not changed this long"
    )


class SftpSource(_Drop):
    """A folder on an SFTP server from which ECG files are fetched (needs ecgfm-clinical[sftp])."""

    name: str = Field(description="in status, logs and the audit trail", examples=["sftp"])
    host: str = Field(description="the server", examples=["files.example"])
    port: Port = Field(default=22, description="its port")
    user: str = Field(description="whom to log in as", examples=["ecgfm"])
    known_hosts: Path = Field(
        description="file with the server's host key; a server that is not in it is refused",
        examples=["secrets/known_hosts"],
    )
    key: Path | None = Field(default=None, description="private key file", examples=["secrets/sftp-key"])
    password_file: Path | None = Field(
        default=None,
        description="file that holds the password, where there is no key",
        examples=["secrets/sftp-password"],
    )
    folder: str = Field(
        default=".", description="where the files are; the login folder where not set", examples=["ecg"]
    )
    every_seconds: float = Field(default=60, gt=0, description="how often it is looked at")
    stable_seconds: float = Field(
        default=30, ge=0, description="a file is taken once its size has not changed this long"
    )


class _Archive(Sender, Reachable):
    """What every archive that is asked for ECGs has in common."""

    name: str = Field(
        description="in status, logs and the audit trail; the first pull after a change of name goes back "
        "lookback_days again",
        examples=["pacs"],
    )
    every_seconds: float = Field(default=300, gt=0, description="how often it is asked")
    modality: str = Field(default="ECG", description="(0008,0060) of the series, SR for reports; each is checked again")
    documents: bool = Field(
        default=False,
        description="ask for Encapsulated PDF and Basic Text SR of other systems too; kept as text beside "
        "the ECG that they refer to",
    )
    lookback_days: float = Field(default=7, gt=0, description="how far back the very first pull goes")
    overlap_days: float = Field(
        default=2, ge=0, description="how far each pull goes back again, because carts deliver late"
    )
    tls: Tls | None = None

    @property
    def lookback(self) -> timedelta:
        return timedelta(days=self.lookback_days)

    @property
    def overlap(self) -> timedelta:
        return timedelta(days=self.overlap_days)


class DicomSource(_Archive):
    """A PACS that is asked by C-FIND, and sends by C-MOVE or C-GET."""

    host: str = Field(description="address of the archive", examples=["pacs.example"])
    port: Port = Field(description="port of the archive", examples=[104])
    ae_title: AeTitle = Field(description="the archive's application entity title", examples=["PACS"])
    calling: AeTitle = Field(
        default="ECGFM", description="our application entity title; for C-MOVE their table must name it with our port"
    )
    method: Literal["move", "get"] = Field(default="move", description='"move", or "get", which needs no port of ours')
    receive_host: str = Field(default="0.0.0.0", description="for C-MOVE: address of this machine to receive at")
    receive_port: Port | None = Field(
        default=None,
        description="for C-MOVE: their table must name our AE title with this port; not set: they send to a "
        "listener above",
        examples=[11113],
    )


class DicomWebSource(_Archive):
    """A PACS that is asked by QIDO-RS and WADO-RS (needs ecgfm-clinical[dicomweb])."""

    name: str = Field(description="in status, logs and the audit trail", examples=["pacs-web"])
    url: str = Field(description="service root", examples=["https://pacs.example/dicom-web"])
    authorization_file: Path | None = Field(
        default=None,
        description="file that holds the whole Authorization header",
        examples=["secrets/pacs-authorization"],
    )
    connections: int = Field(default=4, ge=1, le=32, description="retrievals at the same time")


class Sources(Part):
    """What we ask for ECGs."""

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
