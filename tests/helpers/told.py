"""What the program said in its log, for tests that ask for it."""

import io
import json
from typing import Any


class Told:
    """Asked without a name, every event so far; with one, those of that name."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def __call__(self, event: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [one for one in lines if event in (None, one["event"])]
