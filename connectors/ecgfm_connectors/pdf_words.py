"""The words of a PDF that another system sent, read in a process of its own with little memory and little time.

A PDF comes from outside and may be damaged, endless or made to hurt; its reader (pypdf, extra `pdf`) must take neither
the port nor the store down with it. `python -m ecgfm_connectors.pdf_words` is that process: a PDF in, JSON out.
"""

import json
import logging
import resource
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from io import BytesIO

MAX_BYTES = 16 * 2**20
MAX_PAGES = 20
MAX_TEXT = 32_768  #: characters
MEMORY = 768 * 2**20  #: bytes of the process
SECONDS = 10  #: of the process, on the clock and on the processor

_AT_A_TIME = threading.BoundedSemaphore(2)  #: processes; whoever sends more of them waits with his answer


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfWords:
    """What was read; without words the reason."""

    pages: int = 0
    words: str = field(default="", repr=False)
    reason: str = ""  #: why there are no words, or not all: a sentence of ours


def read(content: bytes, *, seconds: float = SECONDS) -> PdfWords:
    """Never raises for what a PDF holds."""
    if len(content) > MAX_BYTES:
        return PdfWords(reason=f"it has more than {MAX_BYTES // 2**20} MiB")
    command = [sys.executable, "-I", "-m", "ecgfm_connectors.pdf_words"]
    try:
        with _AT_A_TIME:
            done = subprocess.run(command, input=content, capture_output=True, timeout=seconds, check=False)
        told = json.loads(done.stdout)
        return PdfWords(pages=told["pages"], words=told["words"], reason=told["reason"])
    except subprocess.TimeoutExpired:
        return PdfWords(reason=f"reading it took more than {seconds:g} s")
    except (OSError, ValueError):  # killed at a limit, or crashed: it wrote nothing
        return PdfWords(reason=f"reading it took more than {MEMORY // 2**20} MiB or {SECONDS} s, or its reader crashed")


def _read_here(content: bytes) -> PdfWords:
    """In the process that may die of it."""
    from pypdf import PdfReader
    from pypdf.errors import FileNotDecryptedError

    logging.disable()  # its warnings quote what stands in the file
    try:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            return PdfWords(reason="it is encrypted")
        count = len(reader.pages)
        words = "\n".join(_lines([reader.pages[number].extract_text() for number in range(min(count, MAX_PAGES))]))
    except FileNotDecryptedError:
        return PdfWords(reason="it is encrypted")
    except MemoryError:
        return PdfWords(reason=f"reading it took more than {MEMORY // 2**20} MiB")
    except Exception as error:  # noqa: BLE001  whatever a damaged file makes of its reader
        return PdfWords(reason=f"it is damaged ({type(error).__name__})")
    if not words:
        return PdfWords(pages=count, reason="it holds no text, as a scan does")
    cut = [f"only its first {MAX_PAGES} pages were read"] if count > MAX_PAGES else []
    return PdfWords(pages=count, words=words[:MAX_TEXT], reason="".join(cut))


def _lines(pages: list[str]) -> list[str]:
    """Without what no screen shows, and without empty lines."""
    lines = (line for page in pages for line in page.split("\n"))
    shown = ("".join(char if char.isprintable() else " " for char in line).strip() for line in lines)
    return [line for line in shown if line]


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main() -> None:
    """The process: limits first, then the library."""
    _limit()
    told = _read_here(sys.stdin.buffer.read(MAX_BYTES + 1))
    sys.stdout.write(json.dumps({"pages": told.pages, "words": told.words, "reason": told.reason}))


if __name__ == "__main__":
    main()
