"""The words of PDFs from outside: read where they can be, and else a reason, whatever the bytes do to their reader."""

import sys
import threading
import zlib
from io import BytesIO
from pathlib import Path

import pytest

pypdf = pytest.importorskip("pypdf", reason="the package pypdf is not installed")

from ecgfm_connectors import pdf_words
from tests.helpers.pdf_writer import write_file, write_pdf

pytestmark = pytest.mark.slow(8)


def encrypted(content: bytes) -> bytes:
    writer, kept = pypdf.PdfWriter(clone_from=BytesIO(content)), BytesIO()
    writer.encrypt("a password")
    writer.write(kept)
    return kept.getvalue()


def bomb() -> bytes:
    """One page whose content grows to 2 GB: the same block again and again."""
    packer = zlib.compressobj(9)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    content = head + 2048 * block + packer.flush()
    return write_file([
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(content), content),
    ])  # fmt: skip


def test_every_page_is_read_in_its_order_with_what_german_needs() -> None:
    found = pdf_words.read(write_pdf(["Ruhe-EKG (12 Ableitungen)", "Lagetyp: Überdrehter Linkstyp"], ["Seite 2"]))
    assert (found.pages, found.reason) == (2, "")
    assert found.words.splitlines() == ["Ruhe-EKG (12 Ableitungen)", "Lagetyp: Überdrehter Linkstyp", "Seite 2"]


def test_of_a_long_one_the_first_pages_are_read_and_it_says_so() -> None:
    found = pdf_words.read(write_pdf(*([f"page {number}"] for number in range(1, 24))))
    assert found.pages == 23
    assert found.words.splitlines()[-1] == f"page {pdf_words.MAX_PAGES}"
    assert found.reason == "only its first 20 pages were read"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (write_pdf([]), "it holds no text, as a scan does"),
        (write_pdf(["ECG"])[:120], "it is damaged"),
        (b"%PDF-1.7 invent\n", "it is damaged"),
        (encrypted(write_pdf(["ECG"])), "it is encrypted"),
        (b"%PDF-1.7\n" + bytes(pdf_words.MAX_BYTES), "it has more than 16 MiB"),
    ],
    ids=["scan", "cut-off", "no-pdf", "encrypted", "too-large"],
)
def test_what_cannot_be_read_has_its_reason(content: bytes, reason: str) -> None:
    found = pdf_words.read(content)
    assert found.words == ""
    assert found.reason.startswith(reason)


def test_one_that_takes_too_much_memory_or_time_takes_nothing_down() -> None:
    assert pdf_words.read(bomb()).reason != ""
    assert pdf_words.read(write_pdf(["ECG"]), seconds=0.001).reason == "reading it took more than 0.001 s"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("kill -9 $$", "or its reader crashed"),
        ("exit 1", "or its reader crashed"),
        ("echo no JSON", "or its reader crashed"),
        ("exec tail -f /dev/null", "reading it took more than 0.2 s"),
    ],
    ids=["killed", "raises", "says nonsense", "hangs"],
)
def test_a_reader_that_fails_is_the_documents_reason(
    program: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = tmp_path / "reader"
    reader.write_text(f"#!/bin/sh\n{program}\n")
    reader.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(reader))
    found = pdf_words.read(b"%PDF-1.7", seconds=0.2 if "tail" in program else pdf_words.SECONDS)
    assert reason in found.reason
    assert (found.pages, found.words) == (0, "")


def test_a_slow_one_keeps_a_third_waiting_and_it_is_read_then() -> None:
    """Two are read at a time; here both are slow."""
    found = list[pdf_words.PdfWords]()
    with pdf_words._AT_A_TIME:
        with pdf_words._AT_A_TIME:
            third = threading.Thread(target=lambda: found.append(pdf_words.read(write_pdf(["ECG"]))))
            third.start()
            assert not pdf_words._AT_A_TIME.acquire(blocking=False)
            assert found == []
        third.join(120)
    assert [one.words for one in found] == ["ECG"]
