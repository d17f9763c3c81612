"""What a command says when it fails: one sentence, and for what nobody foresaw, where the details lie."""

import os
import tempfile
import traceback
from pathlib import Path


def sentence(error: Exception) -> str:
    """The sentence for any exception that left a command."""
    from ecgfm.errors import EcgFmError
    from ecgfm_clinical.errors import ClinicalError
    from ecgfm_clinical.extras import missing
    from ecgfm_connectors.errors import ConnectorError

    if isinstance(error, (ClinicalError, ConnectorError, EcgFmError)):
        return str(error)
    if isinstance(error, ImportError) and (told := missing(error)):
        return told
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}; see that it exists, and that this user may read or write it"
    return _unforeseen(error)


def _unforeseen(error: Exception) -> str:
    kept = _keep(error)
    where = f"the details lie in {kept}" if kept else "set ECGFM_TRACEBACK=1 and repeat the command for the details"
    return f"unforeseen {type(error).__name__}, a fault of this program: {where}; please report it with them"


def _keep(error: Exception) -> Path | None:
    """A file of this user's with the kind of the error and the lines that led to it; None where none can be written.

    The error's own text is left out: a library may have quoted the data that it choked on.
    """
    try:
        number, name = tempfile.mkstemp(prefix="ecgfm-clinical-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.writelines(_lines(error))
    except OSError:
        return None
    return Path(name)


def _lines(error: BaseException) -> list[str]:
    """The traceback of an error and of what caused it, oldest first, without their texts."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    own = [*traceback.format_tb(error.__traceback__), f"{type(error).__module__}.{type(error).__qualname__}\n"]
    return [*_lines(before), "\n", *own] if before is not None else own
