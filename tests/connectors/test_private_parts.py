"""Which private parts of pynetdicom and pydicom we use: each is named here, is there, and does what we use it for.

An upgrade may change a private part without a word. So a library of which we use one has an upper bound in
pyproject.toml, and whoever raises the bound sees here what must still hold.
"""

import ast
import importlib
import inspect
import pkgutil
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pynetdicom
import pytest
from pynetdicom import AE, _config, evt, transport
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made when the module is loaded
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

import ecgfm_connectors
from ecgfm_connectors.dicom.server import HardenedServer

ROOT = Path(__file__).parents[2]
LIBRARIES = ("pynetdicom", "pydicom")

#: What the code below finds. A new one needs a test here; one that is gone must go from here too.
NAMED = {
    "pynetdicom._config",  # the level at which it adds a log handler of its own
    "RequestHandler._create_association",  # overridden: the one place where an association's socket can be wrapped
    "_reactor_checkpoint",  # of an association: the event that its thread passes in every round
    "_servers",  # of an AE: the server that `stop` and `shutdown` end
}


def modules() -> Iterator[str]:
    """Every module of ours that names one of the libraries."""
    for found in pkgutil.walk_packages(ecgfm_connectors.__path__, "ecgfm_connectors."):
        if any(library in inspect.getsource(importlib.import_module(found.name)) for library in LIBRARIES):
            yield found.name


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def used_in(name: str) -> Iterator[str]:
    """Private modules and names that are imported, and private attributes of anything but our own object."""
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(name)))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in LIBRARIES:
            yield from (
                f"{node.module}.{one.name}" for one in node.names if private(one.name) or "._" in f"{node.module}."
            )
        elif isinstance(node, ast.Attribute) and private(node.attr):
            of_our_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            of_a_base = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
            if not of_our_own and not of_a_base:
                yield node.attr


def overridden_in(name: str) -> Iterator[str]:
    """Private methods of the libraries' classes that a class of ours replaces."""
    for _, ours in inspect.getmembers(importlib.import_module(name), inspect.isclass):
        if ours.__module__ != name:
            continue
        for base in ours.__mro__[1:]:
            if base.__module__.split(".")[0] in LIBRARIES:
                yield from (f"{base.__name__}.{own}" for own in vars(ours) if private(own) and own in vars(base))


def test_every_private_part_that_we_use_is_named() -> None:
    found = {part for name in modules() for part in (*used_in(name), *overridden_in(name))}
    assert found == NAMED


def test_a_library_of_which_we_use_private_parts_has_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (line,) = (one for one in project["dependencies"] if one.startswith("pynetdicom"))
    major, minor = map(int, pynetdicom.__version__.split(".")[:2])
    assert line.endswith(f",<{major}.{minor + 1}")
    assert any(one.startswith("pydicom") and "<" in one for one in project["dependencies"])


@pytest.mark.parametrize(("level", "handlers"), [("none", 0), ("standard", 1)])
def test_the_level_decides_whether_an_association_writes_a_log(
    monkeypatch: pytest.MonkeyPatch, level: str, handlers: int
) -> None:
    assert _config.LOG_HANDLER_LEVEL == "none"  # as our server sets it
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", level)
    association = Association(AE(), "requestor")
    assert len(association.get_handlers(evt.EVT_DIMSE_SENT)) == handlers


def test_a_request_handler_makes_its_association_in_one_private_method() -> None:
    assert inspect.signature(RequestHandler._create_association).parameters.keys() == {"self"}
    assert "_create_association()" in inspect.getsource(RequestHandler)


def test_an_associations_thread_passes_its_checkpoint_in_every_round() -> None:
    association = Association(AE(), "requestor")
    assert type(association._reactor_checkpoint) is threading.Event
    assert "self._reactor_checkpoint.wait()" in inspect.getsource(association._run_reactor)


def test_pynetdicom_asks_a_socket_by_select_alone() -> None:
    source = inspect.getsource(transport)
    assert source.count("select.select(") == source.count(" select.") == 1


def test_an_entity_ends_the_servers_that_it_lists() -> None:
    entity = AE()
    entity.add_supported_context(Verification)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    assert isinstance(server, ThreadedAssociationServer)
    assert not isinstance(server, HardenedServer)
    assert server in entity._servers
    entity.shutdown()
    assert server not in entity._servers
