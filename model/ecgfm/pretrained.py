"""Bundles that are passed on: from a folder or a Hugging Face hub, to a folder, to a hub.

A bundle travels as three files, `bundle.json`, `model.safetensors` and a card; nothing else is fetched or sent, so no
pickle can come along. The hub is asked only where the caller says so; otherwise an id finds what was fetched before.
"""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ecgfm.checkpoint import MANIFEST, WEIGHTS, Bundle
from ecgfm.demo import DEMO
from ecgfm.errors import BundleError, RuntimeUnavailable
from ecgfm.loading import load
from ecgfm.network import EcgFm
from ecgfm.pretrained_card import CARD, pretrained_card

FILES = (MANIFEST, WEIGHTS, CARD)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """Weights that were found and checked, with what they were checked against. Printed, it says all of it."""

    bundle: Bundle
    source: str  #: the folder, or the hub's id
    revision: str | None  #: the commit on the hub; None of a folder

    @property
    def model_id(self) -> str:
        """SHA-256 over the manifest, which holds the digest of the weights."""
        return self.bundle.model_id

    def network(self) -> EcgFm:
        """Ready for inference, as `ecgfm.load` gives it."""
        return load(self.bundle.path)

    def __str__(self) -> str:
        at = "" if self.revision is None else f" at revision {self.revision}"
        return (
            f"{self.bundle.name}, version {self.bundle.version}, from {self.source}{at}\n"
            f"model id {self.model_id}, checked\nweights SHA-256 {self.bundle.weights_sha256}, checked"
        )


class Hub(Protocol):
    """What is asked of a hub."""

    def fetch(self, repository: str, revision: str | None, *, download: bool) -> Path:
        """The folder of one commit, named by it. Raises BundleError."""

    def send(self, folder: Path, repository: str, *, private: bool, message: str) -> str:
        """Returns the commit. Raises BundleError."""


def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    model_id: str | None = None,
    download: bool = False,
    cache: Path | None = None,
    hub: Hub | None = None,
) -> Pretrained:
    """A bundle by its folder, `demo`, or `OWNER/NAME` on a Hugging Face hub: found, read, its digests checked.

    An id is looked for among what was fetched before; with `download` the hub is asked (the extra `hub`). `revision` is
    a commit, tag or branch there; the commit that it stood for is told. `model_id`, whole or its beginning, must be the
    bundle's own: it covers heads, thresholds and weights. Raises BundleError, RuntimeUnavailable.
    """
    if _is_folder(name):
        if revision is not None or download:
            raise BundleError(f"{name} is a folder: revision and download speak of an id on a hub; leave them out")
        found = Pretrained(bundle=Bundle.read(name), source=str(name), revision=None)
    else:
        repository = _checked_id(str(name))
        folder = (hub or HuggingFace(cache=cache)).fetch(repository, revision, download=download)
        if revision and _COMMIT.fullmatch(revision) and folder.name != revision:
            raise BundleError(f"{repository}: revision {revision} was asked for, {folder.name} came; nothing is used")
        found = Pretrained(bundle=Bundle.read(folder), source=repository, revision=folder.name)
    if model_id is not None and not (len(model_id) >= 8 and found.model_id.startswith(model_id.lower())):
        raise BundleError(
            f"{found.source} holds model {found.model_id}, not {model_id}; ask whoever named that id which revision "
            "has it (at least its first 8 digits are needed)"
        )
    return found


def save_pretrained(bundle: Bundle | str | Path, folder: Path, *, card: str | None = None, licence: str = "") -> Path:
    """A new folder with the bundle's two files and a card, `README.md`, with the hub's header of facts.

    `card`: Markdown without that header; written from the manifest where none is given. `licence`: the hub's word for
    it, such as `cc-by-4.0`; whoever passes weights on has to know it. Raises BundleError where the folder exists.
    """
    chosen = bundle if isinstance(bundle, Bundle) else Bundle.read(bundle)
    if folder.exists():
        raise BundleError(f"{folder} exists already; a bundle is never overwritten, name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name in (MANIFEST, WEIGHTS):
            shutil.copyfile(chosen.path / name, scratch / name)
        (scratch / CARD).write_text(pretrained_card(chosen, card, licence), encoding="utf-8")
        scratch.chmod(0o755)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    Bundle.read(folder)
    return folder


def push_to_hub(
    bundle: Bundle | str | Path,
    repository: str,
    *,
    card: str | None = None,
    licence: str = "",
    private: bool = True,
    hub: Hub | None = None,
) -> str:
    """Send what `save_pretrained` writes to `OWNER/NAME` on a Hugging Face hub (private unless said otherwise); gives
    the commit, by which `from_pretrained` finds exactly this again.

    The hub's own client signs in, as its user has set it up. Raises BundleError, RuntimeUnavailable.
    """
    chosen = bundle if isinstance(bundle, Bundle) else Bundle.read(bundle)
    with tempfile.TemporaryDirectory() as place:
        folder = save_pretrained(chosen, Path(place) / "bundle", card=card, licence=licence)
        message = f"{chosen.name} {chosen.version}, model id {chosen.model_id}"
        return (hub or HuggingFace()).send(folder, _checked_id(repository), private=private, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class HuggingFace:
    """The hub that the client's own settings name (`HF_ENDPOINT`)."""

    cache: Path | None = None  #: the client's own where None

    def fetch(self, repository: str, revision: str | None, *, download: bool) -> Path:
        """The folder of one commit, named by it: three files at most. Raises BundleError."""
        try:
            from huggingface_hub import snapshot_download
            from huggingface_hub.errors import LocalEntryNotFoundError
        except ImportError as error:
            raise _no_client() from error
        try:
            return Path(
                snapshot_download(
                    repository,
                    revision=revision,
                    cache_dir=self.cache,
                    local_files_only=not download,
                    allow_patterns=list(FILES),
                )
            )
        except LocalEntryNotFoundError as error:
            raise BundleError(
                f"{repository} was not fetched before, and no hub was asked; download=True asks it, or name the folder "
                "of a bundle"
                if not download
                else f"the hub does not answer for {repository}; try again when there is a network"
            ) from error
        except Exception as error:  # the client raises its own errors, the network library's and the system's
            raise BundleError(f"{repository} cannot be fetched from the hub ({type(error).__name__})") from error

    def send(self, folder: Path, repository: str, *, private: bool, message: str) -> str:
        """Returns the commit. Raises BundleError."""
        try:
            from huggingface_hub import HfApi
        except ImportError as error:
            raise _no_client() from error
        api = HfApi()
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            if private and not api.model_info(repository).private:  # of one that exists, the hub ignores what was asked
                raise BundleError(
                    f"{repository} is public on the hub already: nothing was sent; name another repository, make that "
                    "one private there, or say private=False"
                )
            return str(
                api.upload_folder(
                    repo_id=repository, folder_path=folder, commit_message=message, allow_patterns=list(FILES)
                ).oid
            )
        except BundleError:
            raise
        except Exception as error:
            raise BundleError(
                f"{repository} was not sent to the hub ({type(error).__name__}); sign in with `hf auth login` as "
                "someone who may write there"
            ) from error


def _is_folder(name: str | Path) -> bool:
    """A path, what exists as one, and what cannot be an id on a hub."""
    return isinstance(name, Path) or name == DEMO or Path(name).exists() or not _HUB_ID.fullmatch(name)


def _checked_id(name: str) -> str:
    if not _HUB_ID.fullmatch(name):
        raise BundleError(f"{name!r} is no id on a hub; write OWNER/NAME")
    return name


def _no_client() -> RuntimeUnavailable:
    return RuntimeUnavailable("a hub needs the extra hub: pip install 'ecgfm-clinical[hub]'")
