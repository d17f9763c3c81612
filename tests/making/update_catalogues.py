"""Brings the catalogues of the console up to date with its templates and sentences.

    python -m tests.making.update_catalogues

New texts come in empty, changed ones are marked fuzzy, and what nothing says any more is dropped. A new language is a
new file: `python -m tests.making.update_catalogues fr`.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from ecgfm_clinical.web import languages

ROOT = Path(languages.__file__).parents[1]
#: Where sentences stand that a page may say; commands say theirs in English.
FOLDERS = ("web", "operate", "ecg")
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
#: `say("…")`, `say_many("…", "…", count)` and `N_("…")` are those of pages and of `wording`; the others are Jinja's.
KEYWORDS = {"say": None, "say_many": (1, 2), "N_": None, "_": None, "gettext": None, "ngettext": (1, 2)}

Text = str | tuple[str, ...]


def texts() -> Iterator[tuple[Text, str]]:
    """Every text of the console with the file that says it; singular and plural as a pair."""
    for folder in FOLDERS:
        found = extract_from_dir(ROOT / folder, METHODS, {"**.html": {"trimmed": "true"}}, KEYWORDS)
        for file, _, text, _, _ in found:
            yield text, f"{folder}/{file}"


def template() -> Catalog:
    """What a translator has to say."""
    made = Catalog(project="ecgfm-clinical", charset="utf-8")
    for text, _ in sorted(texts(), key=lambda one: one[1]):
        made.add(text)
    return made


def updated(path: Path) -> tuple[str, Catalog]:
    """The catalogue of that file with today's texts; its head as it is, for that holds more than Babel keeps."""
    text = path.read_text(encoding="utf-8")
    kept = read_po(io.StringIO(text), locale=path.parent.name)
    kept.update(template())
    kept.obsolete.clear()
    return text.partition("\n\n")[0], kept


def main() -> None:
    for code in sys.argv[1:]:
        path = languages.FOLDER / code / languages.FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(_HEAD.format(code=code, plurals=Catalog(locale=code).plural_forms), encoding="utf-8")
    for path in sorted(languages.FOLDER.glob(f"*/{languages.FILE}")):
        head, made = updated(path)
        written = io.BytesIO()
        write_po(written, made, width=0, no_location=True, omit_header=True)
        path.write_text(f"{head}\n\n{written.getvalue().decode().lstrip()}", encoding="utf-8")
        print(f"{path.parent.name}: {sum(not any(one.string or ()) for one in made if one.id)} texts are missing")


_HEAD = r"""msgid ""
msgstr ""
"Language: {code}\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: {plurals}\n"
"X-Name: {code}\n"
"X-Time: %Y-%m-%d %H:%M:%S\n"
"X-Decimal-Point: .\n"

"""

if __name__ == "__main__":
    main()
