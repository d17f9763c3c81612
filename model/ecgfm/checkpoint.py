"""The bundle: a folder that carries one model whole (weights, sizes, heads, calibration, provenance).

    BUNDLE/model.safetensors   float32 tensors under fairseq's classifier names: `encoder.*`, and `heads.<name>.*` where
                               fairseq has the one `proj.*`; weight normalisation unfolded (g and v), so that training
                               can go on from it exactly; `further_encoders.<number>.*` where there are several
    BUNDLE/bundle.json         everything else, with the SHA-256 of the weights

A bundle is never changed after it is written: a new calibration or threshold is a new bundle with a new model_id.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self  # Any: JSON of a bundle

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ecgfm.assembly import assemble
from ecgfm.config import EncoderConfig
from ecgfm.demo import bundle_folder
from ecgfm.digest import of_manifest, sha256
from ecgfm.errors import BundleError, EcgFmError
from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm
from ecgfm.provenance import CodeVersion, Json, ModelVersion, Provenance
from ecgfm.signal import PREPARATIONS
from ecgfm.version import commit
from ecgfm.version import version as version_of_code

MANIFEST = "bundle.json"
WEIGHTS = "model.safetensors"
FORMAT = "ecgfm-bundle"
FORMAT_VERSION = 1
#: Of bundles with a prior shift: a program that knows of none would say other probabilities, so it must refuse them.
SHIFTED_FORMAT_VERSION = 2
#: Of bundles with several encoders: a program that knows of one alone would give heads another one's embedding.
ENCODERS_FORMAT_VERSION = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """One model on disk, as its manifest describes it; the weights are read by `network`."""

    path: Path
    name: str
    version: str
    demo: bool  #: True = not for clinical use, and every result says so
    preprocessing: str  #: one of `ecgfm.signal.PREPARATIONS`: how signals are prepared for these weights
    config: EncoderConfig
    heads: tuple[HeadSpec, ...]
    provenance: Provenance
    weights_sha256: str
    further_encoders: tuple[EncoderConfig, ...] = ()  #: after `config`, which is the first one's; `HeadSpec.encoder`
    #: SHA-256 (hex) over the canonical manifest, weights digest included: changes with anything that changes a result.
    #: Empty before the manifest is written.
    model_id: str = ""

    @property
    def named(self) -> ModelVersion:
        """The bundle as others name it."""
        return ModelVersion(name=self.name, model_id=self.model_id, version=self.version)

    @property
    def encoders(self) -> tuple[EncoderConfig, ...]:
        """Sizes of all encoders; each has a head where there is more than one, so it is one pass of every ECG."""
        return self.config, *self.further_encoders

    @property
    def _format_version(self) -> int:
        if self.further_encoders:
            return ENCODERS_FORMAT_VERSION
        return SHIFTED_FORMAT_VERSION if any(spec.prior_shifts for spec in self.heads) else FORMAT_VERSION

    def manifest(self) -> dict[str, Json]:
        """The content of `bundle.json`."""
        return {
            "format": FORMAT,
            "format_version": self._format_version,
            "name": self.name,
            "version": self.version,
            "demo": self.demo,
            "preprocessing": self.preprocessing,
            "encoder": self.config.to_json(),
            **({"further_encoders": [one.to_json() for one in self.further_encoders]} if self.further_encoders else {}),
            "heads": [spec.to_json() for spec in self.heads],
            "provenance": self.provenance.to_json(),
            "weights": {"file": WEIGHTS, "sha256": self.weights_sha256},
        }

    def identified(self, provenance: Mapping[str, Json]) -> Self:
        """The same with its id, of the provenance to the last word as it stands in the manifest."""
        return replace(self, model_id=of_manifest(self.manifest() | {"provenance": provenance}))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read the manifest and check the weights against their digest; `demo` is the bundle that ships.

        Raises `BundleError`.
        """
        folder = bundle_folder(path)
        manifest = _read_manifest(folder / MANIFEST)
        try:
            bundle = cls(
                path=folder,
                name=manifest["name"],
                version=manifest["version"],
                demo=manifest["demo"] is not False,  # anything but a plain false is treated as a demo
                preprocessing=manifest["preprocessing"],
                config=EncoderConfig.from_json(manifest["encoder"]),
                heads=tuple(HeadSpec.from_json(entry) for entry in manifest["heads"]),
                provenance=Provenance.from_json(manifest["provenance"]),
                weights_sha256=manifest["weights"]["sha256"],
                further_encoders=tuple(EncoderConfig.from_json(one) for one in manifest.get("further_encoders", [])),
            ).identified(manifest["provenance"])
            bundle._check_encoders()
        except (KeyError, TypeError) as error:
            raise BundleError(f"{folder / MANIFEST} lacks or misspells {error}; write the bundle again") from error
        except EcgFmError as error:
            raise BundleError(f"{folder / MANIFEST}: {error}") from error
        bundle._check_weights()
        return bundle

    @classmethod
    def write(
        cls,
        path: str | Path,
        network: EcgFm,
        *,
        name: str,
        version: str,
        demo: bool,
        provenance: Provenance,
        heads: Sequence[HeadSpec] | None = None,
        preprocessing: str | None = None,
    ) -> Self:
        """Write a new bundle folder in one step: it is whole or not there. `heads` and `preprocessing` default to the
        network's own.

        Version and commit of the code that writes it are added to the provenance, as `code`.

        The network must be in trainable form (not folded). Raises `BundleError` where the folder exists already.
        """
        folder = Path(path)
        if folder.exists():
            raise BundleError(f"{folder} exists already; a bundle is never overwritten, name another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        specs = tuple(network.specs if heads is None else heads)
        given, own = (tuple((spec.name, spec.labels, spec.encoder) for spec in all_) for all_ in (specs, network.specs))
        if given != own:
            raise BundleError(
                "the heads given are not those of the network, their labels stand in another order, or they stand on "
                "other encoders"
            )
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            state = {key: tensor.detach().contiguous() for key, tensor in network.state_dict().items()}
            save_file(state, scratch / WEIGHTS)
            bundle = cls(
                path=folder,
                name=name,
                version=version,
                demo=demo,
                preprocessing=network.preprocessing if preprocessing is None else preprocessing,
                config=network.config,
                heads=specs,
                provenance=replace(provenance, code=CodeVersion(version=version_of_code(), commit=commit())),
                weights_sha256=sha256(scratch / WEIGHTS),
                further_encoders=tuple(encoder.config for encoder in network.encoders[1:]),
            )
            bundle._check_encoders()
            text = json.dumps(bundle.manifest(), indent=2, ensure_ascii=False)
            (scratch / MANIFEST).write_text(text + "\n", encoding="utf-8")
            scratch.chmod(0o755)  # weights are of no patient, and other users' processes may score with them
            for file in scratch.iterdir():
                file.chmod(0o644)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return cls.read(folder)

    def network(self) -> EcgFm:
        """The network in trainable form; call `.fold().eval()` for inference, as `load` does."""
        try:
            tensors = load_file(self.path / WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{self.path / WEIGHTS} cannot be read: {error}") from error
        weights = str(self.path / WEIGHTS)
        network = assemble(self.config, self.heads, tensors, source=weights, further=self.further_encoders)
        network.preprocessing = self.preprocessing
        return network

    def check_preprocessing(self) -> None:
        """Raises BundleError where this program knows no preparation of the name that the bundle carries."""
        if self.preprocessing not in PREPARATIONS:
            raise BundleError(
                f"{self.path} was trained on signals prepared by {self.preprocessing!r}, this program prepares them by "
                f"{' or '.join(map(repr, PREPARATIONS))}; use the program version that wrote the bundle"
            )

    def _check_encoders(self) -> None:
        """Raises BundleError where a head names an encoder that is not there, or one of several has no head."""
        named, count = {spec.encoder for spec in self.heads}, len(self.encoders)
        if not named <= set(range(count)):
            raise BundleError(f"a head stands on encoder {max(named)}, the bundle has {count}, the first one being 0")
        if count > 1 and len(named) < count:
            lonely = min(set(range(count)) - named)
            raise BundleError(f"no head stands on encoder {lonely} of {count}; write the bundle without it")

    def _check_weights(self) -> None:
        weights = self.path / WEIGHTS
        try:
            found = sha256(weights)
        except OSError as error:
            raise BundleError(
                f"{weights} cannot be read ({error.strerror}); copy the whole bundle folder again"
            ) from error
        if found != self.weights_sha256:
            raise BundleError(f"{weights} is not the file that {MANIFEST} describes (SHA-256 differs); copy it again")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{path.parent} is not a model bundle: {path.name}: {error.strerror}") from error
    except ValueError as error:
        raise BundleError(f"{path} is not JSON; copy the whole bundle folder again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path} is not the manifest of a model bundle")
    if manifest.get("format_version") not in (FORMAT_VERSION, SHIFTED_FORMAT_VERSION, ENCODERS_FORMAT_VERSION):
        raise BundleError(
            f"{path} has format version {manifest.get('format_version')}, this program reads up to "
            f"{ENCODERS_FORMAT_VERSION}; use the program version that wrote it, or newer"
        )
    return manifest
