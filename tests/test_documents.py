"""What the documents name exists: links and anchors, commands and options, settings keys, codes, identifiers, files."""

import dataclasses
import doctest
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
import typer.main
from pydantic import BaseModel

from ecgfm_clinical.cli import app
from ecgfm_clinical.operate.setup import example_settings
from ecgfm_clinical.settings import Settings, read_settings
from ecgfm_clinical.settings.reading import fields_of

ROOT = Path(__file__).parents[1]
_NOT_OURS = {".venv", "node_modules", "dist", "build", ".git", ".cache", ".pytest_cache", ".mypy_cache", ".hypothesis"}


@cache
def _files() -> tuple[Path, ...]:
    """Every file of the repository; what tools and environments put beside it is not even walked through."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        found += (Path(folder, name) for name in names)
    return tuple(sorted(found))


def _tree(pattern: str) -> list[Path]:
    return [path for path in _files() if path.match(pattern)]


DOCUMENTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in _tree("*.md")}
#: The changelog names what was there then; the demo model's card is written by its training and goes with its digest;
#: the reference's table names tensors inside its files.
_OF_ANOTHER_TIME = ("CHANGELOG.md", "/CARD.md", "tests/data/reference/README.md")
CURRENT = [name for name in DOCUMENTS if not name.endswith(_OF_ANOTHER_TIME)]
every_document = pytest.mark.parametrize("name", CURRENT)


# --- links ------------------------------------------------------------------------------------------------------------


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@cache
def _anchors(document: Path) -> set[str]:
    """GitHub's anchors of a document's headings; a repeated heading gets a number."""
    seen: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#+ (.*)$", _without_code(document.read_text(encoding="utf-8")), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_code(DOCUMENTS[name])):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_leads_to_a_package_registry(name: str) -> None:
    """A package's name is enough, and holds where a site has a registry of its own."""
    registries = r"pypi\.org|pythonhosted|npmjs|anaconda\.org|hub\.docker|ghcr\.io|crates\.io"
    assert not re.findall(rf"https?://[^\s)]*(?:{registries})", DOCUMENTS[name])


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """The generator too finds every link, anchor and document; it reads each one where it lies."""
    pytest.importorskip("sphinx", reason="sphinx is not installed (ecgfm-clinical[docs])")
    pytest.importorskip("myst_parser", reason="myst-parser is not installed (ecgfm-clinical[docs])")
    words = ["-W", "--keep-going", "-q", "-d", str(tmp_path / "doctrees"), "-c", "docs", ".", str(tmp_path / "site")]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    pages = {
        str(page.relative_to(tmp_path / "site").with_suffix(".md")) for page in (tmp_path / "site").rglob("*.html")
    }
    assert {name for name in DOCUMENTS if not name.startswith(".")} <= pages


def test_the_index_leads_to_every_document() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {
        str((index.parent / link.partition("#")[0]).resolve().relative_to(ROOT))
        for link in re.findall(r"\]\(([^)\s]+)\)", DOCUMENTS["docs/index.md"])
    }
    assert {name for name in DOCUMENTS if not name.startswith(".github/")} - {"docs/index.md"} <= linked


# --- commands ---------------------------------------------------------------------------------------------------------


def _spans(name: str) -> list[str]:
    """Every piece of inline code of a document, line breaks as spaces."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", _without_code(DOCUMENTS[name]))]


def _fenced(name: str) -> Iterator[str]:
    """Every line of a document's code blocks, without comments; commands joined by && apart."""
    blocks = re.findall(r"^```\w*\n(.*?)^```|((?:^    .*\n)+)", DOCUMENTS[name], re.DOTALL | re.MULTILINE)
    for line in "\n".join(fenced or indented for fenced, indented in blocks).splitlines():
        yield from line.split("  #")[0].split(" && ")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _commands(name: str) -> Iterator[list[str]]:
    """The words after `ecgfm-clinical` of every command a document names, and bare ones such as `model promote`."""
    for text in (*_fenced(name), *_spans(name)):
        words = [word.removeprefix(".venv/bin/") for word in _words(text)]
        if "ecgfm-clinical" in words and "install" not in words:
            yield words[words.index("ecgfm-clinical") + 1 :]
    for span in _spans(name):
        words = _words(span)
        if len(words) > 1 and words[0] in _commands_of_the_program():
            yield words


@cache
def _program() -> Any:
    return typer.main.get_command(app)


def _commands_of_the_program() -> dict[str, Any]:
    return _inside(_program())


def _inside(command: Any) -> dict[str, Any]:
    """The commands of a group, by name; none of a command itself."""
    return dict(getattr(command, "commands", {}))


def _leaves(commands: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    for name, command in commands.items():
        yield from _leaves(_inside(command), *above, name) if _inside(command) else ((*above, name),)


@every_document
def test_commands_and_options_exist(name: str) -> None:
    for words in _commands(name):
        command: Any = _program()
        rest = list(words)
        while rest and _inside(command) and not rest[0].startswith("-"):
            assert rest[0] in _inside(command), f"{' '.join(words)}: no such command"
            command = _inside(command)[rest.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        asked = {word.split("=")[0].strip("[]") for word in rest if word.strip("[").startswith("--") and word != "--"}
        assert asked <= options, f"{' '.join(words)}: {asked - options}"


def test_every_command_is_in_readme_or_runbook() -> None:
    both = DOCUMENTS["README.md"] + DOCUMENTS["deploy/RUNBOOK.md"]
    missing = [
        path for leaf in _leaves(_commands_of_the_program()) if f"ecgfm-clinical {(path := ' '.join(leaf))}" not in both
    ]
    assert not missing


@every_document
def test_modules_and_scripts_that_are_run_exist(name: str) -> None:
    for text in (*_fenced(name), *_spans(name)):
        for module in re.findall(r"python3? -m ([\w.]+)", text):
            home = ROOT / "model" / Path(*module.split(".")).with_suffix(".py")  # scripts beside the package
            assert home.is_file() or importlib.util.find_spec(module), text
        for script in re.findall(r"(?:python3?|pytest) (?:-\w+ \w* ?)*((?:tests|model)/[\w/.]+)", text):
            assert (ROOT / script).exists(), text


# --- settings ---------------------------------------------------------------------------------------------------------


def _models(annotation: object) -> Iterator[type]:
    """The settings tables inside a field's type, through tuples, mappings and unions;
    embedded rules are dataclasses.
    """
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        yield annotation
    elif get_origin(annotation) is not None or isinstance(annotation, UnionType) or annotation is Union:
        for inside in get_args(annotation):
            yield from _models(inside)


def _keys(model: type, *above: str) -> Iterator[tuple[str, ...]]:
    """The path of every key; names that the site chooses (a head, a site) are left out."""
    for name, annotation in fields_of(model).items():
        if model is Settings and name == "folder":
            continue  # set by the reader
        yield (*above, name)
        for inside in _models(annotation):
            yield from _keys(inside, *above, name)


KEYS = set(_keys(Settings))
_TABLES = {key[:1] for key in KEYS}


@every_document
def test_settings_keys_exist(name: str) -> None:
    """`[model] bundle`, `[[listeners.dicom]]` and `scoring.lease_seconds` are settings."""
    for span in _spans(name):
        if table := re.match(r"\[\[?([a-z_.]+?)(?:\.(?:NAME|…|\.\.\.))?\]\]?(?: ([a-z_]+))?(?: = |$)", span):
            path = tuple(table[1].split("."))
            extra = span == f"[{table[1]}]" and table[1] in _project()["optional-dependencies"]
            if not extra and path != ("augmentation",):  # of a pretraining recipe
                assert path in KEYS, span
                assert table[2] is None or (*path, table[2]) in KEYS, span
        elif re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", span) and (span.split(".")[0],) in _TABLES:
            assert tuple(span.split(".")) in KEYS or _in_source(span), span


def _example_keys() -> dict[tuple[str, ...], str]:
    """Each key of the commented settings file -> what stands beside it, or above its table."""
    found: dict[tuple[str, ...], str] = {}
    table: tuple[str, ...] = ()
    for line in example_settings().splitlines():
        if head := re.match(r"(?:# )?\[\[?([\w.]+)\]\]?", line):
            table = tuple(part for part in head[1].split("."))
        elif key := re.match(r"(?:# )?([a-z_]+) = .*?(?:  +# (.*))?$", line):
            found[(*table, key[1])] = key[2] or ""
    return found


#: Tables whose keys the example explains once for several: mutual TLS, archives, messages.
_SHARED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("sources", "dicomweb"): ("sources", "dicom"),
    ("destinations", "file"): ("destinations", "hl7"),
    ("learning", "site_operating_points"): ("learning", "operating_points"),
    ("alerts", "webhook"): ("alerts", "email"),
    ("alerts", "syslog"): ("alerts", "email"),
    ("alerts", "command"): ("alerts", "email"),
}


def _explained(key: tuple[str, ...], explained: dict[tuple[str, ...], str]) -> bool:
    if "tls" in key[:-1]:
        return bool(explained.get(("listeners", "dicom", *key[-2:])))
    other = (*_SHARED.get(key[:2], key[:2]), *key[2:])
    return bool(explained.get(_as_written(key)) or explained.get(_as_written(other)))


def _as_written(key: tuple[str, ...]) -> tuple[str, ...]:
    """The key as the example spells it, where a site chooses a name between its parts."""
    names = {("heads",): "reduced_lvef", ("learning", "operating_points"): "reduced_lvef"}
    for table, chosen in names.items():
        if key[: len(table)] == table:
            return (*table, chosen, *key[len(table) :])
    if key[:2] == ("learning", "site_operating_points"):
        return (*key[:2], "North", "reduced_lvef", *key[2:])
    return key


def test_the_commented_settings_explain_every_key() -> None:
    explained = _example_keys()
    leaves = [key for key in KEYS if not any(other[: len(key)] == key for other in KEYS if other != key)]
    missing = sorted(".".join(key) for key in leaves if not _explained(key, explained))
    assert not missing


@every_document
def test_toml_blocks_are_settings(name: str, tmp_path: Path) -> None:
    for block in re.findall(r"^```toml\n(.*?)^```", DOCUMENTS[name], re.DOTALL | re.MULTILINE):
        (tmp_path / "settings.toml").write_text(block, encoding="utf-8")
        read_settings(tmp_path / "settings.toml")


# --- examples ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_python_examples_give_what_they_show() -> None:
    text = DOCUMENTS["docs/api.md"]
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    examples = parser.get_doctest(text, {}, "docs/api.md", "docs/api.md", 0)
    assert len(examples.examples) == text.count("\n>>> ")
    assert runner.run(examples).failed == 0


# --- identifiers, reason codes, files ---------------------------------------------------------------------------------


@cache
def _source() -> str:
    """All the program's text, tests apart: a name that a document mentions stands somewhere in it."""
    kinds = ("*.py", "*.toml", "*.yaml", "*.service", "Dockerfile")
    files = [path for kind in kinds for path in _tree(kind) if path.relative_to(ROOT).parts[0] != "tests"]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@cache
def _source_words() -> set[str]:
    return set(re.findall(r"[\w-]+", _source()))


def _in_source(word: str) -> bool:
    if re.fullmatch(r"[\w-]+", word):
        return word in _source_words()
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", _source()) is not None


@every_document
def test_identifiers_and_codes_are_in_the_source(name: str) -> None:
    """`snake_case` names and `kebab-case` codes: keys, functions, columns, reason codes, audit actions."""
    words = {span for span in _spans(name) if re.fullmatch(r"[a-z][a-z0-9]*([_-][a-z0-9]+)+", span)}
    commands = {name for leaf in _leaves(_commands_of_the_program()) for name in leaf}
    known = commands | _packages() | {"ecgfm-clinical"}
    assert not sorted(word for word in words - known if not _in_source(word))


def _project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])


@pytest.mark.parametrize("name", [*CURRENT, "deploy/settings.example.toml", "deploy/compose.yaml"])
def test_extras_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = {one for some in re.findall(r"(?:ecgfm-clinical|\.)\[([a-z,]+)\]", text) for one in some.split(",")}
    assert named <= set(_project()["optional-dependencies"])


def _packages() -> set[str]:
    """Names of packages that the project declares, and of the generator that its recordings came from."""
    extras: dict[str, list[str]] = _project()["optional-dependencies"]
    wanted = [*_project()["dependencies"], *(one for some in extras.values() for one in some)]
    return {re.split(r"[\[<>=;, ]", one)[0] for one in wanted} | {"deepfake-ecg", "fairseq-signals"}


_SUFFIXES = r"\.(?:py|md|toml|yaml|npz|json|tsv|service|cjs)"


@every_document
def test_files_exist(name: str) -> None:
    """A path with a folder of this repository, seen from its root or from the document; a bare .py name anywhere."""
    top = {path.name for path in ROOT.iterdir() if path.is_dir()} - _NOT_OURS
    for span in _spans(name):
        if "NAME" in span or "NNNN" in span:
            continue  # the reader's own
        if re.fullmatch(rf"[\w./-]+/[\w./-]*{_SUFFIXES}|[\w./-]+/", span) and span.split("/")[0] in top:
            assert (ROOT / span).exists(), span
        elif re.fullmatch(r"[\w/]+\.py", span):
            assert list(_tree(Path(span).name)), span


def test_dotted_python_names_exist() -> None:
    for name in CURRENT:
        for span in _spans(name):
            if re.match(r"ecgfm(_connectors|_clinical)?\.\w", span) and re.fullmatch(r"[\w.]+", span):
                assert _resolves(span), f"{name}: {span}"


def _resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for split in range(len(parts), 0, -1):
        try:
            spec = importlib.util.find_spec(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        if spec is not None:
            found: Any = importlib.import_module(".".join(parts[:split]))
            for attribute in parts[split:]:
                found = getattr(found, attribute, None)
            return found is not None
    return False
