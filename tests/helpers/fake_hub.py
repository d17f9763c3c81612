"""A Hugging Face hub of one repository on loopback, as far as its own client speaks to it: create, commit, fetch."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any  # Any: JSON as it comes


@dataclass
class FakeHub:
    """What was sent, and what was asked."""

    address: str = ""
    private: bool = False
    public_before: bool = False  #: the repository is there already, for everyone to read
    files: dict[str, bytes] = field(default_factory=dict)
    commit: str = ""
    signed_in: set[str] = field(default_factory=set)  #: tokens that came
    asked: list[str] = field(default_factory=list)

    def take(self, body: bytes) -> str:
        """A commit: a line of JSON for the message and one for each file."""
        for line in body.splitlines():
            said = json.loads(line)
            if said["key"] == "file":
                self.files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
        self.commit = hashlib.sha1(b"".join(self.files.values()), usedforsecurity=False).hexdigest()
        return self.commit


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Answers until the block ends."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            hub.asked.append(f"POST {self.path}")
            hub.signed_in.add(self.headers.get("Authorization", ""))
            if self.path == "/api/repos/create":
                hub.private = json.loads(body).get("visibility") == "private" and not hub.public_before
                self._json({"url": f"{hub.address}/someone/tiny"})
            elif self.path.endswith("/validate-yaml"):
                self._json({"errors": [], "warnings": []})
            elif "/preupload/" in self.path:
                names = [one["path"] for one in json.loads(body)["files"]]
                self._json(
                    {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
                )
            elif "/commit/" in self.path:
                commit = hub.take(body)
                self._json(
                    {"success": True, "commitOid": commit, "commitUrl": f"{hub.address}/someone/tiny/commit/{commit}"}
                )
            else:
                self._send(404, b"")

        def do_HEAD(self) -> None:
            self._get()

        def do_GET(self) -> None:
            self._get()

        def _get(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            names = [
                {"rfilename": name, "type": "file", "path": name, "size": len(held), "oid": "0" * 40}
                for name, held in hub.files.items()
            ]
            if "/tree/" in self.path:
                self._json(names)
            elif self.path.startswith("/api/models/someone/tiny"):
                self._json(
                    {
                        "_id": "1",
                        "id": "someone/tiny",
                        "sha": hub.commit,
                        "siblings": names,
                        "private": hub.private,
                        "tags": [],
                        "downloads": 0,
                        "likes": 0,
                    }
                )
            elif "/resolve/" in self.path and (held := hub.files.get(self.path.rpartition("/")[2])) is not None:
                etag = hashlib.sha256(held).hexdigest()
                self._send(200, held, {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit})
            else:
                self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _json(self, told: Any) -> None:
            self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not on the terminal of a test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
