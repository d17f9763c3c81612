"""The package jsonschema without a grammar that no schema asks for: a tenth of the time to load."""

import sys
from types import ModuleType

import pytest


def json_schemas() -> ModuleType:
    """The package; skips where it is not installed.

    It builds a grammar of internationalised addresses (RFC 3987) while it is loaded, for most of a second, and uses it
    for nothing but the format `iri` where a caller asks for formats to be checked.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # as if it were not installed
    loaded: ModuleType = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    return loaded
