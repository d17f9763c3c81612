"""One request as a page sees it, and the console that answers it."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING

from jinja2 import Environment
from starlette.responses import HTMLResponse, JSONResponse, Response

from ecgfm_clinical import liveness
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.service.handling import CONSOLE, Handling
from ecgfm_clinical.web.asking import Asked
from ecgfm_clinical.web.document import Document, plain
from ecgfm_clinical.web.documents import DOCUMENTS
from ecgfm_clinical.web.languages import COOKIE, ENGLISH, Language, chosen
from ecgfm_clinical.web.limiter import Limiter
from ecgfm_clinical.web.oidc import Provider
from ecgfm_clinical.web.one_time import OneTimeLinks
from ecgfm_clinical.web.openings import Openings
from ecgfm_clinical.web.security import policy
from ecgfm_clinical.web.sessions import Sessions
from ecgfm_clinical.web.tokens import TokensFile
from ecgfm_clinical.web.users import Role, User, UsersFile
from ecgfm_clinical.wording import N_

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.pauses import Pause
    from ecgfm_clinical.staging.store import Store
    from ecgfm_clinical.web.undoables import Undoables


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

#: Path and name of each page in the menu.
MENU = (
    ("/", N_("Now")),
    ("/ecgs", N_("ECGs")),
    ("/dead", N_("Dead letters")),
    ("/refused", N_("Refused")),
    ("/held", N_("Held")),
    ("/pauses", N_("Pauses")),
    ("/outcomes", N_("Outcomes")),
    ("/models", N_("Models")),
    ("/drift", N_("Drift")),
    ("/audit", N_("Audit")),
    ("/settings", N_("Settings")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """What every page has at hand."""

    settings: "Settings"
    store: "Store"
    clock: Callable[[], datetime]
    users: UsersFile
    tokens: TokensFile
    sessions: Sessions
    limiter: Limiter
    oidc: Provider | None  #: who else may sign people in
    links: OneTimeLinks | None = None  #: that sign somebody in once, in the demo
    languages: Mapping[str, Language]
    templates: Mapping[str, Environment]  #: by language
    encrypted: bool  #: browsers come by https
    undoables: "Undoables"
    openings: Openings = field(default_factory=Openings)
    #: of the answers under way
    handling: Handling = field(default_factory=lambda: Handling(CONSOLE))

    @property
    def zone(self) -> tzinfo:
        return self.settings.site.zone

    @property
    def cookie(self) -> str:
        """`__Host-` binds a cookie to this host and to https; plain http on loopback cannot have it."""
        return "__Host-ecgfm" if self.encrypted else "ecgfm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request."""

    console: Console
    user: User | None  #: who is signed in
    path: str
    places: Mapping[str, str]  #: what the path itself names, such as the ECG
    asked: Asked  #: behind the `?`
    form: Asked
    address: str  #: of the browser
    token: str  #: of the session; empty where there is none
    is_part: bool  #: asked for by a page that refreshes itself
    cookies: Mapping[str, str] = field(default_factory=dict)
    is_api: bool = False  #: asked for by a program, which gets the page's document
    is_get: bool = True  #: asks for a page, and changes nothing
    accepted: str = ""  #: the header Accept-Language
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(18))

    @property
    def store(self) -> "Store":
        return self.console.store

    @property
    def settings(self) -> "Settings":
        return self.console.settings

    @property
    def now(self) -> datetime:
        return self.console.clock()

    @property
    def actor(self) -> str:
        """Who acts, for the audit trail: the person, and the host of the console."""
        return actor_of(self.user.signature if self.user is not None else "nobody")

    @property
    def language(self) -> Language:
        """Of the page; of the console's languages."""
        web = self.settings.web
        return chosen(
            self.console.languages,
            cookie=self.cookies.get(COOKIE, ""),
            setting=web.language if web is not None else "",
            accepted=self.accepted,
        )

    @property
    def here(self) -> str:
        """The address of this page; what an act answered with cannot be asked for again, so the page above it."""
        if not self.is_get:
            return self.path.rpartition("/")[0] or "/"
        query = self.asked.query()
        return self.path + (f"?{query}" if query else "")

    def say(self, text: str, /, **values: object) -> str:
        """The sentence in the page's language; a program gets English."""
        return (ENGLISH if self.is_api else self.language).say(text, **values)

    def say_many(self, one: str, many: str, count: int, /, **values: object) -> str:
        """The form for so many, with `%(count)d` in it."""
        return (ENGLISH if self.is_api else self.language).say_many(one, many, count, **values)

    def may(self, role: Role) -> bool:
        return self.user is not None and self.user.role >= role

    def page(
        self, template: str, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS, **values: object
    ) -> Response:
        """A page of ours; every value is escaped where it is written. A program gets its document instead."""
        if self.is_api:
            return self._document(template, status, headers, values)
        language = self.language
        text = (
            self.console.templates[language.code]
            .get_template(template)
            .render(
                visit=self,
                language=language,
                languages=self.console.languages.values(),
                menu=[one for one in MENU if one[0] != "/settings" or self.may(Role.OPERATOR)],
                Role=Role,
                site=self.settings.site.name,
                now=self.now,
                in_force=self._paused() if self.user is not None else [],
                **values,
            )
        )
        return HTMLResponse(text, status, headers={**headers, "Content-Security-Policy": policy(self.nonce)})

    def _document(
        self, template: str, status: int, headers: Mapping[str, str], values: Mapping[str, object]
    ) -> Response:
        match template, DOCUMENTS.get(template):
            case "problem.html", _:
                return JSONResponse({"error": values["title"], "text": values["text"]}, status, headers)
            case "done.html", _:
                undo = values["undo"] or None
                told = {"undo": undo, "undo_seconds": values["undo_seconds"] if undo else None}
                return JSONResponse({"title": values["title"], "lines": values["lines"], **told}, status, headers)
            case _, None:
                text = "this page has no JSON form"
                return JSONResponse({"error": "Not found", "text": text}, 404, headers)
            case _, Document() as document:
                return JSONResponse(plain(document.of(**values)), status, headers)

    def _paused(self) -> "list[Pause]":
        """What is paused stands on every page; a page that tells of a store out of reach is made without it."""
        try:
            return self.store.pauses.current()
        except StoreUnavailable:
            return []

    def done(self, title: str, lines: list[str], *, back: str) -> Response:
        """What an act came to."""
        return self.page("done.html", title=title, lines=lines, back=back, undo="", undo_seconds=0)


def actor_of(name: str) -> str:
    """A user of the console in the audit trail: the person, and the host of the console."""
    return f"{name} by {liveness.worker_name('web').partition(':')[0]}/web"
