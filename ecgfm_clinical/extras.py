"""Which extra of the package brings which library, and the one sentence that is said where a library is missing.

A command asks with `need` before it begins its work. An import that fails all the same (in the wings, which do not know
the hall) is put into the same sentence by the command line, through `missing`.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from ecgfm_clinical.errors import MissingExtra

#: Extra -> top-level modules that it brings. Where two extras bring a module, the first in this order is named.
EXTRAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "score": ("torch", "safetensors", "scipy", "matplotlib"),
        "postgresql": ("psycopg",),
        "onnx": ("onnx", "onnxruntime", "onnxscript"),
        "openvino": ("openvino",),
        "parquet": ("pyarrow",),
        "flac": ("soundfile",),
        "dicomweb": ("httpx",),
        "fhir": ("httpx", "joserfc"),
        "sftp": ("paramiko",),
        "ray": ("ray",),
        "train": ("sklearn", "wfdb", "lightning", "torchmetrics", "h5py", "tensorboard"),
        "umap": ("umap",),
        "web": ("starlette", "uvicorn", "argon2"),
        "oidc": ("authlib", "joserfc"),
        "page": ("weasyprint", "matplotlib"),
        "hub": ("huggingface_hub",),
        "pdf": ("pypdf",),
        "otlp": ("opentelemetry",),
    }
)


def need(extra: str, purpose: str) -> None:
    """Go on only where every library of `extra` is installed; `purpose` begins the sentence ("exporting to ONNX").

    Nothing is imported. Raises MissingExtra.
    """
    if not have(extra):
        raise MissingExtra(sentence(extra, purpose))


def have(extra: str) -> bool:
    """Whether every library of `extra` is installed; nothing is imported."""
    return all(map(_installed, EXTRAS[extra]))


def sentence(extra: str, purpose: str) -> str:
    """What is missing, and the command that adds it."""
    return f"{purpose} needs the extra {extra}: pip install 'ecgfm-clinical[{extra}]'"


def missing(error: ImportError) -> str | None:
    """The sentence for an import that failed because an extra is not installed; None where no extra brings the
    module.
    """
    module = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return sentence(extra, f"this command uses {module}, which")
    return None


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False
