"""Requests that no browser sends, at every page and act of the console and its API: an answer, never a fault.

The long form: `python -m tests.clinical.web.fuzzing --requests 100000 --seed 1`. The suite has a short one.
"""

import argparse
import json
import random
import re
import string
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.pages import PAGES
from ecgfm_clinical.web.tokens import TokensFile
from ecgfm_clinical.web.users import Role
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.conftest import HASHER, PASSWORD, add_users
from tests.helpers.installation import FILE, Installation, ecg
from tests.helpers.web_port import serving

#: What a check tries are ports and files of the whole installation, a replay loads the model, and to draw a page or a
#: picture takes as long as a hundred other answers: all seldom.
SELDOM = ("/settings/check", "/replay", "/audit/verify", "drawing.png", "drawing.pdf", "/ecgs/{ecg:int}/page")
#: Names that queries and forms have, as the sources of the console read them.
_NAME = re.compile(r'(?:text|number|numbers|time|long_text)\(\s*"(\w+)"')
_SOURCES = Path(build_console.__code__.co_filename).parent
NAMES = sorted({name for one in _SOURCES.glob("*.py") for name in _NAME.findall(one.read_text(encoding="utf-8"))})
CLOSED = 0  #: counted where the port closed the connection instead of an answer
_WORDS = (
    *("0", "1", "2", "-1", "00", "9" * 19, str(2**63), "10" * 300, "1e9", "NaN", "true", "yes", "null", "[]", "{}"),
    *(
        "again",
        "recompose",
        "withdraw",
        "correct",
        "read-again",
        "seen",
        "scored",
        "failed",
        "positive",
        "all",
        "today",
    ),
    *("2026-03-01", "0001-01-01T00:00", "9999-12-31T23:59:59", "2026-02-30", "2026-03-01T08:00+25:00", "12:00"),
    *("2026-03-01T08:00:00+00:00~1", "~", "~9", "everything", "destination", "source", "head", "dicom", "ehr", "hl7"),
    *("../../etc/passwd", "%00", "\0", "'; DROP TABLE ecg; --", "<script>", "{{7*7}}", "\ud800", "\u202e", "ﬀ", "İ"),
)
_LETTERS = string.printable + "éß日本\u0000\u0301🫀"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of all requests."""

    codes: Counter[int]
    faults: tuple[str, ...]  #: what was asked, and answered with 500 or without its headers
    seconds: float


@contextmanager
def console(folder: Path, url: str = FILE) -> Iterator[tuple[str, str, Installation]]:
    """A console with something of everything: its address, the token of an administrator, and what lies behind."""
    site = Installation(folder, url=url, more='[web]\nusers = "web-users"\n')
    add_users(folder / "web-users")
    site.dicom(ecg(1, "A"))
    site.ehr.plan(Fault.AE)
    site.go_on()
    site.send_until(1)
    site.dicom(b"no DICOM at all")
    token = TokensFile(folder / "web-tokens").add("fuzz", Role.ADMINISTRATOR)
    try:
        with serving(build_console(site.settings, site.store, hasher=HASHER), grace=5) as address:
            yield address, token, site
    finally:
        site.close()


def tried(address: str, token: str, *, requests: int, seed: int) -> Tried:
    """So many requests, the same ones for the same seed."""
    draw, codes, faults = random.Random(seed), Counter[int](), list[str]()
    begun = time.monotonic()
    with httpx.Client(base_url=address, headers={"Origin": address}, timeout=120) as client:
        client.post("/sign-in", data={"name": "administrator", "password": PASSWORD})
        cookies = dict(client.cookies)
        for number in range(requests):
            request = _request(client, draw, token)
            try:
                answer = client.send(request)
            except httpx.TransportError:  # an address beyond what the port reads: it hangs up, and takes the next one
                codes[CLOSED] += 1
                continue
            client.cookies.update(cookies)  # whatever was answered: it stays signed in
            codes[answer.status_code] += 1
            if answer.status_code in (500, 502, 504) or "content-security-policy" not in answer.headers:
                faults.append(f"{number}: {request.method} {request.url} {request.content[:200]!r}")
    return Tried(codes=codes, faults=tuple(faults), seconds=time.monotonic() - begun)


def _request(client: httpx.Client, draw: random.Random, token: str) -> httpx.Request:
    page = draw.choice(PAGES)
    while page.path == "/sign-out" or (page.path.endswith(SELDOM) and draw.random() < 0.97):
        page = draw.choice(PAGES)
    path = re.sub(r"{\w+:int}", lambda _: draw.choice(("1", "1", "2", "0", "99", str(2**63), "9" * 30)), page.path)
    is_api = draw.random() < 0.3
    if is_api:
        path = "/api/v1" + ("/now" if path == "/" else path)
    if draw.random() < 0.03:
        path = "/" + quote(_text(draw))
    query = "&".join(f"{_name(draw)}={quote(_value(draw), errors='replace')}" for _ in range(draw.choice((0, 1, 2, 5))))
    headers = dict(draw.choice(_HEADERS)) | ({"Authorization": f"Bearer {token}"} if is_api else {})
    method = page.method if draw.random() < 0.9 else draw.choice(("GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE"))
    body = _body(draw, headers) if method == "POST" else b""
    return client.build_request(method, f"{path}?{query}" if query else path, content=body, headers=headers)


_HEADERS: tuple[tuple[tuple[str, str], ...], ...] = (
    *[()] * 6,
    (("HX-Request", "true"),),
    (("Accept-Language", "de,zz;q=x,*"),),
    (("Range", "bytes=0-"),),
    (("Cookie", "ecgfm=;;=; a"),),
    (("X-Forwarded-For", "x, y, ,"),),
    (("Authorization", "Bearer"),),
    (("If-Modified-Since", "yesterday"),),
)


def _body(draw: random.Random, headers: dict[str, str]) -> bytes:
    told = {_name(draw): _value(draw) for _ in range(draw.choice((0, 1, 3)))} | {"reason": "fuzzing"}
    match draw.randrange(5):
        case 0:
            headers["Content-Type"] = "application/json"
            return json.dumps(draw.choice((told, [told], {"message": [1, "x", None]}, 7, None))).encode()
        case 1:
            headers["Content-Type"] = draw.choice(("application/json", "multipart/form-data", "text/plain; charset=x"))
            return draw.randbytes(draw.randrange(200))
        case _:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return "&".join(f"{name}={quote(value, errors='replace')}" for name, value in told.items()).encode()


def _name(draw: random.Random) -> str:
    return draw.choice(NAMES) if draw.random() < 0.95 else quote(_text(draw))


def _value(draw: random.Random) -> str:
    return draw.choice(_WORDS) if draw.random() < 0.7 else _text(draw)


def _text(draw: random.Random) -> str:
    return "".join(draw.choices(_LETTERS, k=draw.choice((0, 1, 5, 30, 600))))


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--requests", type=int, default=100_000)
    asked.add_argument("--seed", type=int, default=1)
    told = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, console(Path(folder)) as (address, token, _):
        found = tried(address, token, requests=told.requests, seed=told.seed)
    print(f"{sum(found.codes.values())} requests in {found.seconds:.0f} s: {dict(sorted(found.codes.items()))}")
    for fault in found.faults[:20]:
        print(fault)
    return 1 if found.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
