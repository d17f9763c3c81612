"""Which character set an HL7 v2 message is written in: as MSH-18 declares it (table 0211), or as its bytes show.

Decoding comes before any splitting: in Big5, GBK and Shift-JIS the second byte of a character may equal `|`, `^` or
`\\`, so a message that is split first loses fields without an error.
"""

import re
from itertools import islice

from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Unreadable

# HL7 table 0211 and the spellings seen beside it, reduced to letters and digits -> Python codec.
_CODECS = {
    "ASCII": "ascii",
    "USASCII": "ascii",
    "ISOIR6": "ascii",
    "UNICODE": "utf-8",  # table 0211 retired the name; over MLLP only UTF-8 can be meant
    "UNICODEUTF8": "utf-8",
    "UTF8": "utf-8",
    "ISOIR192": "utf-8",
    "ISOIR100": "iso8859-1",
    "ISOIR14": "shift_jis",
    "ISOIR13": "shift_jis",
    "ISOIR87": "iso2022_jp_2",
    "ISOIR159": "iso2022_jp_2",
    "SHIFTJIS": "shift_jis",
    "GB180302000": "gb18030",
    "GB18030": "gb18030",
    "GB2312": "gb18030",
    "GBK": "gb18030",
    "KSX1001": "euc_kr",
    "EUCKR": "euc_kr",
    "BIG5": "big5hkscs",
    "WINDOWS1252": "cp1252",
    "CP1252": "cp1252",
    "WINDOWS1250": "cp1250",
    "WINDOWS1251": "cp1251",
    "WINDOWS1253": "cp1253",
    "WE8MSWIN1252": "cp1252",
} | {f"{prefix}8859{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17)) for prefix in ("", "ISO")}

# Multi-byte sets worth guessing, each with the lead bytes under which its everyday characters lie.
_COMMON_LEADS: dict[str, tuple[range, ...]] = {
    "big5hkscs": (range(0xA4, 0xC7),),
    "gb18030": (range(0xB0, 0xD8),),
    "shift_jis": (range(0x82, 0x84), range(0x88, 0x98)),
    "euc_kr": (range(0xB0, 0xC9),),
    "euc_jp": (range(0xA4, 0xA6), range(0xB0, 0xD0)),
}
_SAMPLE = 2000  # characters that are examined; a name in another script has a handful
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_HIGH_RUNS = re.compile(rb"[\x80-\xff]+")


def codec_named(declared: str) -> str | None:
    """The Python codec for an MSH-18 value, None where the name is unknown."""
    return _CODECS.get(re.sub(r"[^A-Z0-9]", "", declared.upper()))


def choose(content: bytes, declared: str) -> tuple[str, tuple[Finding, ...]]:
    """The codec that decodes `content` without an error, and what was odd about finding it.

    `declared` is MSH-18 raw, repetitions included. Raises Unreadable for UTF-16 and UTF-32, which MLLP cannot carry.
    """
    names = [name for name in re.split(r"[~]", declared) if name.strip()]
    if any(re.search(r"UTF-?(16|32)", name.upper()) for name in names):
        raise Unreadable("charset-unsupported", "MSH-18 declares UTF-16 or UTF-32; send UNICODE UTF-8")
    codecs = [codec_named(name) for name in names]
    if "iso2022_jp_2" in codecs:  # the first repetition is the start set, later ones are switched to by escapes
        codecs = ["iso2022_jp_2"]
    if codecs and codecs[0] is not None and _decodes(content, codecs[0]):
        if codecs[0].startswith(("iso8859", "cp125")) and not content.isascii() and _decodes(content, "utf-8"):
            # A single-byte set decodes anything; text that is valid UTF-8 by accident does not occur.
            return "utf-8", (Finding(code="charset-mismatch", text=f"declared {codecs[0]}, but the bytes are UTF-8"),)
        return codecs[0], ()
    if content.isascii():
        unknown = Finding(
            code="charset-unknown", text="MSH-18 names no known character set; the message is plain ASCII"
        )
        return "ascii", (unknown,) if codecs and codecs[0] is None else ()
    guess = _detect(content)
    if not codecs:
        return guess, (Finding(code="charset-undeclared", text=f"MSH-18 is empty; bytes read as {guess}"),)
    if codecs[0] is None:
        return guess, (Finding(code="charset-unknown", text=f"MSH-18 names no known character set; read as {guess}"),)
    return guess, (Finding(code="charset-mismatch", text=f"bytes are not {codecs[0]} as declared; read as {guess}"),)


def _decodes(content: bytes, codec: str) -> bool:
    try:
        content.decode(codec)
    except UnicodeError:
        return False
    return True


def _detect(content: bytes) -> str:
    if _decodes(content, "utf-8"):
        return "utf-8"
    runs = [found[0] for found in islice(_HIGH_RUNS.finditer(content), _SAMPLE)]
    # In Western text an accented letter stands between ASCII letters; in East Asian text high bytes come in runs, or
    # (Big5, Shift-JIS) pairwise with an ASCII-range byte.
    clustered = sum(len(run) for run in runs if len(run) > 1) / sum(len(run) for run in runs)
    if clustered >= 0.5:
        scored = [(_commonness(content, codec), codec) for codec in _COMMON_LEADS if _decodes(content, codec)]
        if scored and max(scored)[0] >= 0.8:
            return max(scored, key=lambda pair: pair[0])[1]
    return "cp1252" if _decodes(content, "cp1252") else "iso8859-1"  # iso8859-1 decodes anything


def _commonness(content: bytes, codec: str) -> float:
    """Share of the non-ASCII characters whose lead byte is one that everyday text uses in this character set."""
    found = islice(_NOT_ASCII.finditer(content.decode(codec)), _SAMPLE)
    # Big5 has pairs that decode to two characters, of which the second alone has no code: no everyday text has them.
    leads = [match[0].encode(codec, "ignore")[:1] for match in found]
    common = [any(lead[0] in block for block in _COMMON_LEADS[codec]) for lead in leads if lead]
    return sum(common) / max(len(leads), 1)
