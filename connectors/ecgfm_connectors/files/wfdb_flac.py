"""Signal files of WFDB that are FLAC (signal(5), formats 508, 516, 524): read by the package soundfile (extra `flac`).

soundfile brings a compiled libsndfile, which the other formats do not need: an installation without it refuses FLAC.
"""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.context import require_length
from ecgfm_connectors.errors import Refused, Unreadable

BITS = {508: 8, 516: 16, 524: 24}
_SUBTYPES = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}
_BLOCK = 1 << 16
_MISSING = (
    "FLAC, which needs the extra flac: pip install 'ecgfm-clinical[flac]', or convert the record to format 16 (`xform`)"
)


def unpack(data: bytes, form: int, *, signals: int) -> NDArray[np.int32]:
    """(samples, signals) as stored. Raises Refused `wfdb-format`, `too-large`; Unreadable `wfdb-flac`."""
    try:
        import soundfile  # an optional dependency
    except (ImportError, OSError) as error:
        raise Refused("wfdb-format", f"storage format {form} is {_MISSING}") from error
    try:
        with soundfile.SoundFile(BytesIO(data)) as stream:
            if (stream.format, stream.subtype, stream.channels) != ("FLAC", _SUBTYPES[BITS[form]], signals):
                raise Unreadable("wfdb-flac", f"not a FLAC stream of {signals} channels of {BITS[form]} bits")
            require_length(stream.frames * stream.channels)
            # In blocks: a damaged header asks for more memory than the stream fills.
            blocks = list(stream.blocks(blocksize=_BLOCK, dtype="int32", always_2d=True))
    except soundfile.LibsndfileError as error:
        raise Unreadable("wfdb-flac", "the FLAC stream is damaged") from error
    found = np.concatenate([np.empty((0, signals), dtype=np.int32), *blocks])
    return np.asarray(found >> (32 - BITS[form]), dtype=np.int32)  # soundfile puts a sample into the upper bits
