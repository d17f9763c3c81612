"""A console that answers browsers on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager

from ecgfm_clinical.web.app import build_app
from ecgfm_clinical.web.server import WebPort
from ecgfm_clinical.web.visit import Console


@contextmanager
def serving(console: Console, *, number: int = 0, grace: float = 1) -> Iterator[str]:
    """The address at which it answers; `number` 0 is any free port. `grace`: s for requests under way at the end."""
    port = WebPort(build_app(console), host="127.0.0.1", port=number, tls=None)
    port.start()
    try:
        yield f"http://127.0.0.1:{port.port}"
    finally:
        port.stop(grace=grace)
