"""What is named as an archive becomes the same rows whoever lists it; what is not all there is refused."""

import json
import os
from pathlib import Path

import pytest

from ecgfm_clinical.backfill.disk import Place, alone, write_whole
from ecgfm_clinical.backfill.manifest import freeze, rows
from ecgfm_clinical.backfill.sources import Asked, fits
from ecgfm_clinical.errors import InputError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two years of recordings, one of them a WFDB record, among what lies beside recordings."""
    folder = tmp_path / "archive"
    for name in ("2024/a.dcm", "2024/b.dcm", "2025/a.dcm", "2025/deep/c.xml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"never read here")
    (folder / "2025" / "00001_hr.hea").write_text("00001_hr 1 500 10\n00001_hr.dat 16 1000/mV 16 0 0 0 0 I\n")
    (folder / "2025" / "00001_hr.dat").write_bytes(bytes(20))
    (folder / "RECORDS").write_text("2025/00001_hr\n\n2024/a.dcm\n")
    (folder / "LICENSE.txt").write_text("Anybody may do anything.")
    (folder / "2025" / ".hidden.dcm").write_bytes(b"")
    (folder / "2025" / "half.part").write_bytes(b"")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path / "out")
    found.folder.mkdir()
    return found


def names(place: Place, archive: Path) -> list[str]:
    return [str(Path(row.path).relative_to(archive)) for row in rows(place)]


def test_a_folder_gives_its_recordings_in_order_and_what_lies_beside_them_is_counted(
    place: Place, archive: Path
) -> None:
    found = freeze(place, [str(archive)], Asked())
    assert names(place, archive) == ["2024/a.dcm", "2024/b.dcm", "2025/00001_hr.hea", "2025/a.dcm", "2025/deep/c.xml"]
    assert (found.rows, found.beside, found.named_twice, found.roots) == (5, 2, 0, (str(archive),))
    assert not any(row.named for row in rows(place))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*.dcm", ["2024/a.dcm", "2024/b.dcm", "2025/a.dcm"]),
        ("202[5-9]/a.*", ["2025/a.dcm"]),
        ("*/a.dcm", ["2024/a.dcm", "2025/a.dcm"]),
        ("2025/**", ["2025/00001_hr.hea", "2025/a.dcm", "2025/deep/c.xml"]),
    ],
)
def test_a_pattern_gives_the_files_that_fit(place: Place, archive: Path, pattern: str, expected: list[str]) -> None:
    freeze(place, [str(archive / pattern)], Asked())
    assert names(place, archive) == expected


def test_a_star_does_not_cross_folders() -> None:
    assert fits(("*.dcm",), ("a.dcm",))
    assert not fits(("*.dcm",), ("deep", "a.dcm"))
    assert fits(("**", "a.dcm"), ("a.dcm",))
    assert not fits(("**", "a.dcm"), ("a.dcm", "b"))


@pytest.mark.parametrize("kind", ["csv", "tsv", "one column", "other column", "parquet", "RECORDS"])
def test_a_table_names_files_relative_to_itself(place: Place, archive: Path, kind: str) -> None:
    table, asked = archive / "table.csv", Asked()
    if kind == "csv":
        table.write_text("\ufeffid,file\n1,2025/00001_hr\n2,2024/a.dcm\n", encoding="utf-8")
    elif kind == "tsv":
        table = archive / "table.tsv"
        table.write_text("path\tage\n2025/00001_hr.dat\t50\n2024/a.dcm\t60\n")
    elif kind == "one column":
        table.write_text(f"filename_hr\n2025/00001_hr\n{archive}/2024/../2024/a.dcm\n")
    elif kind == "other column":
        table.write_text("filename_lr,filename_hr\nx,2025/00001_hr\ny,2024/a.dcm\n")
        asked = Asked(column="filename_hr")
    elif kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        from pyarrow import parquet

        table = archive / "table.parquet"
        parquet.write_table(pyarrow.table({"age": [1, 2], "path": ["2025/00001_hr", "2024/a.dcm"]}), table)
    else:
        table = archive / "RECORDS"
    found = freeze(place, [str(table)], asked)
    assert names(place, archive) == ["2025/00001_hr.hea", "2024/a.dcm"]
    assert all(row.named for row in rows(place))
    assert found.roots == (str(archive),)


def test_a_file_that_is_named_twice_has_one_row(place: Place, archive: Path) -> None:
    found = freeze(place, [str(archive / "2024" / "b.dcm"), str(archive), str(archive / "RECORDS")], Asked())
    assert names(place, archive) == ["2024/b.dcm", "2024/a.dcm", "2025/00001_hr.hea", "2025/a.dcm", "2025/deep/c.xml"]
    assert (found.rows, found.named_twice) == (5, 3)


@pytest.mark.parametrize("source", ["folder", "pattern", "table"])
def test_urls_are_rows_as_they_are(place: Place, archive: Path, source: str) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    url = f"file://{archive}"  # fsspec takes paths as they are, whatever letters are in them
    if source == "table":
        (archive / "table.csv").write_text(f"file\n{url}/2024/a.dcm\n2024/b.dcm\n")
    named = {"folder": url, "pattern": f"{url}/2025/**/*.xml", "table": str(archive / "table.csv")}[source]
    found = freeze(place, [named], Asked())
    expected: dict[str, list[str | Path]] = {
        "folder": [
            f"{url}/{name}"
            for name in ("2024/a.dcm", "2024/b.dcm", "2025/00001_hr.hea", "2025/a.dcm", "2025/deep/c.xml")
        ],
        "pattern": [f"{url}/2025/deep/c.xml"],
        "table": [f"{url}/2024/a.dcm", archive / "2024" / "b.dcm"],
    }
    assert [row.path for row in rows(place)] == expected[source]
    assert found.roots == ((str(archive / "2024"),) if source == "table" else ())


@pytest.mark.parametrize(("url", "says"), [("nowhere://a/b", "nowhere"), ("file:///gone/for/good", "no ECG files in")])
def test_what_no_store_has_is_refused(place: Place, url: str, says: str) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    with pytest.raises(InputError, match=says):
        freeze(place, [url], Asked())


@pytest.mark.parametrize(
    ("source", "content", "says"),
    [
        ("gone", None, "does not exist"),
        ("gone/*.dcm", None, "is not a folder"),
        ("*.ecg", None, "no ECG files in"),
        ("table.csv", "id,age\n1,2\n", "name one of its own with --column: id, age"),
        ("table.csv", "", "name one of its own with --column: none"),
        ("table.csv", "id,file\n1,a.dcm\n2,\n", "row 2 names no file"),
        ("table.csv", b"file\n\xff\xfe\n", "no table of paths in UTF-8"),
        ("table.parquet", "no Parquet", "cannot be read as Parquet"),
    ],
)
def test_what_is_not_all_there_is_refused(
    place: Place, archive: Path, source: str, content: str | bytes | None, says: str
) -> None:
    if source.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    if content is not None:
        (archive / source).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=says):
        freeze(place, [str(archive / source)], Asked())
    assert not place.manifest.exists()
    assert list(place.folder.iterdir()) == [], "nothing half-written stays"


def test_a_folder_that_cannot_be_listed_is_no_smaller_archive(
    place: Place, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "2025":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError, match="2025 cannot be listed: Permission denied"):
        freeze(place, [str(archive)], Asked())


def test_a_manifest_that_was_damaged_is_said(place: Place, archive: Path) -> None:
    freeze(place, [str(archive)], Asked())
    place.manifest.write_text(json.dumps({"name": "x"}) + "\n")
    with pytest.raises(InputError, match="changed by hand or the disk is damaged"):
        list(rows(place))


def test_one_process_at_a_time_writes_into_a_folder_of_its_own(tmp_path: Path) -> None:
    place = Place(tmp_path / "out")
    with alone(place), pytest.raises(InputError, match="another process writes into"), alone(place):
        pass
    with alone(place):  # it was given back
        pass
    (place.folder / "notes.txt").write_text("of years")
    with pytest.raises(InputError, match="holds other files"), alone(place):
        pass
    with pytest.raises(InputError, match="create it first"), alone(Place(tmp_path / "gone" / "out")):
        pass
    with pytest.raises(InputError, match="is a file"), alone(Place(place.folder / "notes.txt")):
        pass


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "receipt.json"
    write_whole(path, b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"receipt.json cannot be written: No space left on device; what is in it"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["receipt.json"]
