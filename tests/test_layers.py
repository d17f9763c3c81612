"""Who may import whom: the wings know neither the hall nor each other,
and heavy libraries load only where they work.
"""

import ast
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Collection, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow(6)

ROOT = Path(__file__).parents[1]
OURS = {"ecgfm", "ecgfm_connectors", "ecgfm_clinical"}
FORBIDDEN = {
    ROOT / "model" / "ecgfm": {"ecgfm_connectors", "ecgfm_clinical", "pydicom", "pynetdicom", "hl7apy", "sqlalchemy"},
    ROOT / "connectors" / "ecgfm_connectors": {"ecgfm", "ecgfm_clinical", "torch", "sqlalchemy", "apscheduler"},
    ROOT / "ecgfm_clinical": {"pydicom", "pynetdicom", "hl7apy", "torch"},
}
STAGES = ("ingest", "scoring", "reporting")
#: Package -> its rooms from the ground up: a room imports from rows below its own only, so that no two need each other.
ROOMS = {
    "ecgfm": (
        "banded_convolution demo digest errors float32 metrics operating_rule prior_shift provenance version",
        "config devices heads mat_files signal",
        "recording_containers",
        "calibration encoder recording_files records",
        "datasets feeding network training",
        "assembly explain pretraining",
        "checkpoint recording_dataset",
        "cost fairseq finetuning runtimes",
        "adaptation loading predictor pretrained_card rivals saliency_checks",
        "bench embedder pretrained",
    ),
    "ecgfm_connectors": (
        "errors patient statement units",
        "placed_order waveform_object",
        "decision document doors ecg http_answer numbers pdf_words people rejections result tls turns",
        "audit http_client printed times",
        "ages base leads outcomes skew statements",
        "context outcome",
        "assembly contents",
        "dicom fhir files hl7",
        "message_text raw_header reading testing",
    ),
    "ecgfm_clinical": (
        "codes durable errors liveness log rules stopping wording",
        "engine extras settings",
        "bundles ecg staging",
        "auditing monitoring",
        "alerting",
        "files learning pipeline",
        "backfill deidentification page shipped",
        "connections telling",
        "wiring",
        "scorers",
        "service",
        "operate",
        "web",
        "demo",
        "cli",
    ),
    "ecgfm_clinical.learning": (
        "documents folders staged_recordings training",
        "cohort out_of_fold predictions runs selected",
        "judging operating_points",
        "cross_fitting plan power_law",
        "learning_curve selection",
        "adaptation",
        "planning provenance",
        "report taught",
        "judged",
        "experiment",
        "governance recalibration",
        "models",
        "research workshop",
        "external shifting",
        "drift",
    ),
}


@cache
def nodes(path: Path) -> list[ast.AST]:
    """What of a file's syntax may name a module: its import statements and its constants."""
    kinds = (ast.Import, ast.ImportFrom, ast.Constant)
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module name that a file imports, wherever in the file, with its line."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield node.module or "", node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@pytest.mark.parametrize("package", FORBIDDEN, ids=lambda path: path.name)
def test_no_package_imports_what_it_must_not_know(package: Path) -> None:
    files = list(package.rglob("*.py"))
    assert files
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for name, line in imports(path)
        if name.split(".")[0] in FORBIDDEN[package]
    ]
    assert not broken


def module_name(path: Path, package: Path) -> str:
    """The dotted name that the file is imported by."""
    return ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")


def named_by(node: ast.AST, modules: Collection[str]) -> set[str]:
    """The modules that a statement imports, or that a string names to import later."""
    named: set[str] = set()
    if isinstance(node, ast.Import):
        named = {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
        inside = {f"{node.module}.{alias.name}" for alias in node.names}
        named = {name if name in modules else f"{node.module}" for name in inside}
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        named = {node.value}
    return named.intersection(modules)


@cache
def arrows() -> dict[str, set[str]]:
    """Every module of the three packages -> the modules it imports, wherever in the file and however late."""
    files = {module_name(path, package): path for package in FORBIDDEN for path in package.rglob("*.py")}
    return {
        module: {name for node in nodes(path) for name in named_by(node, files) if name != module}
        for module, path in files.items()
    }


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = arrows()
    assert len(graph) > 200
    TopologicalSorter(graph).prepare()  # its CycleError names the circle


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_need_only_what_stands_below_them(package: str) -> None:
    rows = [row.split() for row in ROOMS[package]]
    height = {room: number for number, row in enumerate(rows) for room in row}
    graph = arrows()
    found = sorted(
        (room_of(module, package), room_of(other, package), f"{module} imports {other}")
        for module, others in graph.items()
        for other in others
        if room_of(module, package) and room_of(other, package)
    )
    assert height.keys() == {room_of(module, package) for module in graph} - {""}, "a room that has no place yet"
    assert not [said for room, other, said in found if room != other and height[other] >= height[room]]


def room_of(module: str, package: str) -> str:
    """The folder, or the file that stands in the package itself; empty outside the package, and for its own face."""
    return module.removeprefix(f"{package}.").split(".")[0] if module.startswith(f"{package}.") else ""


def test_the_picture_of_the_house_names_every_room() -> None:
    """README's table and the folders of the hall."""
    picture = (ROOT / "README.md").read_text(encoding="utf-8").partition("| room | what happens in it |")[2]
    table = picture.strip().partition("\n\n")[0]
    named = {room for row in table.splitlines() for room in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {path.parent.name for path in (ROOT / "ecgfm_clinical").glob("*/__init__.py")}


@pytest.mark.parametrize("walk", ["ECG", "retrain"])
def test_the_walks_name_files_that_there_are_and_count_them(walk: str) -> None:
    """Each file of README's walks is one of the house, and of one name there."""
    text = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .partition(f"## The walk of one {walk}\n")[2]
        .partition("\n## ")[0]
    )
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    (counted,) = re.findall(r"these (\d+) files", text)
    assert len(named) == int(counted)
    rooms = [path for package in FORBIDDEN for path in package.rglob("*.py")]
    if walk == "retrain":
        rooms = [path for path in rooms if "learning" in path.parts or "finetuning" in path.parts]
    found = {name: [path for path in rooms if f"/{path.as_posix()}".endswith(f"/{name}")] for name in named}
    assert {name: paths for name, paths in found.items() if len(paths) != 1} == {}


@pytest.mark.parametrize("stage", STAGES)
def test_stages_meet_only_in_the_store(stage: str) -> None:
    others = {f"ecgfm_clinical.pipeline.{other}" for other in STAGES if other != stage}
    assert not others & {name for name, _ in imports(ROOT / "ecgfm_clinical" / "pipeline" / f"{stage}.py")}


def test_homes_of_packages_are_not_packages() -> None:
    for folder in ("model", "connectors", "tests"):
        assert not list((ROOT / folder).glob("__init__.py")), f"{folder}/ is a folder, not a package"


@pytest.mark.parametrize("package", FORBIDDEN, ids=lambda path: path.name)
def test_beside_a_wing_lies_no_code_and_no_package_needs_the_tests(package: Path) -> None:
    """What only tests, papers and the making of the demo need lies in tests/, which is no part of the wheel."""
    if package.parent != ROOT:
        assert {path for path in package.parent.rglob("*.py") if package not in path.parents} == set()
    assert not [
        path for path in package.rglob("*.py") if any(name.split(".")[0] == "tests" for name, _ in imports(path))
    ]


def loaded_by(*steps: str) -> list[set[str]]:
    """Top-level modules in memory after each step of code, one after the other in a fresh interpreter."""
    tell = "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    script = "\n".join(("import sys", *(f"{step}\n{tell}" for step in steps)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


#: Processes, and what each imports one after the other with what is absent then: what the next step says holds of the
#: earlier ones together with it, and torch is loaded once.
LOADED: tuple[tuple[tuple[str, set[str]], ...], ...] = (
    (
        (  # what `status` and `show` load
            (
                "import ecgfm_clinical.cli.look, ecgfm_clinical.operate.status, "
                "ecgfm_clinical.operate.story, ecgfm_clinical.wiring, ecgfm_clinical.staging.store"
            ),
            {"scipy", "torch", "alembic", "hl7apy", "pydicom", "matplotlib", "apscheduler"},
        ),
        ("import ecgfm_clinical.pipeline.scoring, ecgfm_clinical.wiring", {"hl7apy", "pynetdicom"}),
        (
            "import ecgfm_clinical.pipeline.live, ecgfm_clinical.learning.planning",
            {"lightning", "torchmetrics", "hl7apy"},
        ),
    ),
    (("import ecgfm_clinical.cli", {"torch", "hl7apy", "pydicom", "pynetdicom", "matplotlib", "onnxruntime"}),),
    (
        ("import ecgfm_connectors.reading", {"torch", "sqlalchemy", "hl7apy"}),
        (
            "import ecgfm_clinical.pipeline.reporting, ecgfm_clinical.pipeline.ingest, ecgfm_connectors.hl7.result",
            {"torch"},
        ),
    ),
    (("import ecgfm", {"sqlalchemy", "pydicom", "hl7apy"}),),
)


@pytest.mark.parametrize("steps", LOADED, ids=lambda steps: steps[0][0])
def test_a_role_loads_only_what_it_needs(steps: tuple[tuple[str, set[str]], ...]) -> None:
    loaded = loaded_by(*(code for code, _ in steps))
    for (code, absent), found in zip(steps, loaded, strict=True):
        assert not absent & found, code


def test_only_the_command_line_knows_the_demo() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in (ROOT / "ecgfm_clinical").rglob("*.py")
        if path.relative_to(ROOT / "ecgfm_clinical").parts[0] not in ("cli", "demo")
        for name, line in imports(path)
        if f"{name}.".startswith("ecgfm_clinical.demo.")
    ]
    assert not broken


#: Package and room -> lines of code that may carry `Any` at most, and what hands it over. Rows of the store's tables,
#: what travels between modules and what is only written as JSON carry none. A number may shrink; one that grows needs
#: its reason here.
ANY = {
    "ecgfm.__init__": 2,  # the lazy names of the package
    "ecgfm.assembly": 2,  # torch's own override of functions
    "ecgfm.checkpoint": 2,  # JSON of a bundle
    "ecgfm.config": 5,  # JSON of a bundle, Python literals of a checkpoint
    "ecgfm.embedder": 7,  # scikit-learn, which has no types, and tables of any kind
    "ecgfm.fairseq": 13,  # pickled configurations of a checkpoint
    "ecgfm.finetuning": 6,  # numpy arrays of strings or numbers: patients; states of torch
    "ecgfm.float32": 3,  # switches of torch that two of its versions name differently
    "ecgfm.heads": 6,  # JSON of a bundle
    "ecgfm.mat_files": 7,  # values of MATLAB files
    "ecgfm.pretraining": 21,  # recipes in TOML, states of torch, numpy arrays of any kind
    "ecgfm.recording_containers": 4,  # h5py and pyarrow, and arrays of any floating kind
    "ecgfm.recording_files": 5,  # arrays of any floating kind
    "ecgfm.runtimes": 6,  # ONNX Runtime and OpenVINO, which have no types
    "ecgfm.signal": 2,  # arrays of any floating kind
    "ecgfm.training": 18,  # torch: contexts of autograd, states of optimisers, meshes
    "ecgfm_clinical.cli": 2,  # handlers of signals
    "ecgfm_clinical.deidentification": 3,  # h5py and pyarrow, which have no types
    "ecgfm_clinical.engine": 5,  # what a process hands back
    "ecgfm_clinical.files": 6,  # pyarrow and plotly, which have no types
    "ecgfm_clinical.learning": 5,  # JSON documents; numpy arrays of any kind
    "ecgfm_clinical.monitoring": 11,  # http.server's own methods, messages of opentelemetry-proto
    "ecgfm_clinical.settings": 10,  # TOML, and annotations of settings
    "ecgfm_clinical.staging": 30,  # columns and statements of SQLAlchemy, driver connections, JSON columns
    "ecgfm_clinical.web": 3,  # joserfc's keys and tokens
    "ecgfm_connectors.dicom": 16,  # pynetdicom and socketserver, DICOM JSON
    "ecgfm_connectors.files": 3,  # pyarrow
}


def lines_with_any(path: Path) -> int:
    """Comments and strings do not count."""
    if b"Any" not in path.read_bytes():
        return 0
    with path.open("rb") as file:
        tokens = tokenize.tokenize(file.readline)
        return len({one.start[0] for one in tokens if one.type == tokenize.NAME and one.string == "Any"})


def test_untyped_values_do_not_spread() -> None:
    found: Counter[str] = Counter()
    for package in FORBIDDEN:
        for path in package.rglob("*.py"):
            room = path.relative_to(package).parts[0].removesuffix(".py")
            found[f"{package.name}.{room}"] += lines_with_any(path)
    assert {room: number for room, number in found.items() if number > ANY.get(room, 0)} == {}


def test_who_takes_an_untyped_value_says_from_whom() -> None:
    """Beside the import of `Any` stands what hands it over."""
    found = {
        path: line
        for package in FORBIDDEN
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"from typing import (?:.*\W)?Any\b", line)
    }
    assert len(found) > 20
    assert [str(path.relative_to(ROOT)) for path, line in found.items() if "# Any: " not in line] == []
