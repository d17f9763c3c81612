"""The house rules a program can hold: checkers come first in CI, no sleeping tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_ci_checks_the_source_before_it_runs_a_test() -> None:
    """`.ci/check` alone runs the checkers; the suite does not repeat what they do."""
    check, run = ((ROOT / ".ci" / name).read_text(encoding="utf-8") for name in ("check", "run"))
    for checker in ("ruff check .", "ruff format --check .", "mypy", "pytest -q tests/test_layers.py"):
        assert f'"$python" -m {checker}\n' in check
    assert run.index("\n.ci/check\n") < run.index("-m pytest")


def test_no_test_sleeps() -> None:
    sleepers = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__) and "benchmarks" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\b(time|asyncio)\.sleep\((?!0\))", line)
    ]
    assert not sleepers, "wait for a condition instead"


def test_ci_runs_the_models_tests_as_an_avx2_machine_too_and_everything_under_an_awkward_path() -> None:
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 .* -m pytest .*tests/model\n", run)
    (folder,) = re.findall(r'mktemp -d "\$\{TMPDIR:-/tmp\}/(.*) XXXXXX"', run)
    assert " " in folder
    assert not folder.isascii()
    assert run.index("export TMPDIR") < run.index("-m pytest")
