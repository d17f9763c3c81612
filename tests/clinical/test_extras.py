"""The table of extras is true to the package, and a missing one is a sentence that ends in the command that adds it."""

import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from ecgfm_clinical import extras
from ecgfm_clinical.errors import MissingExtra

pytestmark = pytest.mark.slow(10)

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED: dict[str, list[str]] = PROJECT["optional-dependencies"]


def test_every_extra_that_the_table_names_can_be_installed() -> None:
    assert set(extras.EXTRAS) <= set(DECLARED)


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_an_extra_brings_the_modules_that_the_table_says(extra: str) -> None:
    distributions = packages_distributions()
    for module in set(extras.EXTRAS[extra]) & set(distributions):
        names = tuple(_normal(name) for name in distributions[module])
        brought = [line for line in DECLARED[extra] if _normal(line).startswith(names)]
        assert brought, f"{extra} does not bring {module}"


def _normal(name: str) -> str:
    """A distribution's name as an index compares it."""
    return name.lower().replace("_", "-")


def test_what_is_installed_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {"there": ("json",), "gone": ("json", "no_such_module")})
    extras.need("there", "this")
    with pytest.raises(MissingExtra, match=r"^this needs the extra gone: pip install 'ecgfm-clinical\[gone\]'$"):
        extras.need("gone", "this")


def test_a_failed_import_is_led_back_to_its_extra() -> None:
    told = extras.missing(ModuleNotFoundError("No module named 'onnxscript.ir'", name="onnxscript.ir"))
    assert told is not None
    assert "pip install 'ecgfm-clinical[onnx]'" in told
    assert extras.missing(ModuleNotFoundError("No module named 'json5'", name="json5")) is None
