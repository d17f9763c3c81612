"""The console as one ASGI application: every page of the table of pages, behind sign-in and guard."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from ecgfm.errors import EcgFmError
from ecgfm_clinical import log, wiring
from ecgfm_clinical.errors import ClinicalError, InputError, NotFound, SettingsError, StoreUnavailable
from ecgfm_clinical.extras import missing
from ecgfm_clinical.web import api, outside, rendering, signing_in
from ecgfm_clinical.web.asking import Asked
from ecgfm_clinical.web.document import PREFIX
from ecgfm_clinical.web.languages import languages
from ecgfm_clinical.web.limiter import Limiter
from ecgfm_clinical.web.oidc import Provider
from ecgfm_clinical.web.one_time import OneTimeLinks
from ecgfm_clinical.web.pages import PAGES, Page
from ecgfm_clinical.web.security import Guard
from ecgfm_clinical.web.sessions import Sessions
from ecgfm_clinical.web.tokens import TokensFile
from ecgfm_clinical.web.undoables import WAIT, Undoables
from ecgfm_clinical.web.users import User, UsersFile
from ecgfm_clinical.web.visit import Console, Visit
from ecgfm_connectors.errors import ConnectorError

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings, Web
    from ecgfm_clinical.staging.store import Store


def build_console(
    settings: "Settings",
    store: "Store",
    *,
    clock: wiring.Clock = wiring.utc_now,
    hasher: PasswordHasher | None = None,
    links: OneTimeLinks | None = None,
    undo_for: timedelta = WAIT,
) -> Console:
    """Raises SettingsError where `[web]` is not set, or where nobody may sign in. `undo_for`: how long what an act puts
    on its way waits for second thoughts.
    """
    web = settings_of(settings)
    users = UsersFile(settings.resolve(web.users), hasher)
    if not users.all() and not web.is_open_to_strangers and links is None:
        raise SettingsError(
            f"{settings.resolve(web.users)} has no user yet, and there is none by default: "
            "`ecgfm-clinical user add NAME --role clinical-administrator`"
        )
    known = languages()
    if web.language and web.language not in known:
        raise SettingsError(f"web.language: no catalogue of {web.language!r}; there are {', '.join(known)}")
    zone = settings.site.zone
    return Console(
        settings=settings,
        store=store,
        clock=clock,
        users=users,
        tokens=TokensFile(settings.resolve(web.tokens)),
        sessions=Sessions(longest=web.session, idle=web.idle),
        limiter=Limiter(),
        oidc=Provider(settings, web, clock=clock) if web.oidc is not None else None,
        links=links,
        languages=known,
        templates={code: rendering.environment(zone, one) for code, one in known.items()},
        encrypted=web.is_encrypted,
        undoables=Undoables(wait=undo_for),
    )


def settings_of(settings: "Settings") -> "Web":
    """What the settings say of the console. Raises SettingsError where they say nothing."""
    if settings.web is None:
        raise SettingsError("the settings have no [web]: add that table, and `ecgfm-clinical user add` somebody")
    return settings.web


def build_app(console: Console) -> ASGIApp:
    """Everything that answers a browser."""
    routes = [Route(page.path, _endpoint(console, page), methods=[page.method]) for page in PAGES]
    routes += [Route(api.path_of(page), _program(console, page), methods=[page.method]) for page in api.pages()]
    routes.append(Route(f"{PREFIX}/openapi.json", api.openapi))
    static = Mount("/static", StaticFiles(directory=rendering.STATIC))
    app = Starlette(
        routes=[*routes, static],
        exception_handlers={404: _missing(console), 405: _missing(console)},
    )
    return Guard(app, proxies=settings_of(console.settings).proxies, encrypted=console.encrypted)


def _missing(console: Console) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        visit = await _visit(console, request, is_api=request.url.path.startswith(f"{PREFIX}/"))
        return visit.page("problem.html", 404, title=visit.say("Not found"), text=visit.say("there is no such page"))

    return answer


def _endpoint(console: Console, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await run_in_threadpool(console.handling.of(_answer), page, await _visit(console, request))

    return answer


def _program(console: Console, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """The same for a program: who shows no token is told so, and no form is asked for where it comes from."""

    async def answer(request: Request) -> Response:
        visit = await _visit(console, request, is_api=True)
        return api.within(await run_in_threadpool(console.handling.of(_answer), page, visit))

    return answer


def _answer(page: Page, visit: Visit) -> Response:
    """Everything that a person can mend is one sentence with its status."""
    try:
        if page.role is not None and visit.user is None:
            return _stranger(visit)
        if page.role is not None and not visit.may(page.role):
            has = visit.user.role.word if visit.user else "none"
            text = visit.say(
                "this needs the role %(needed)s; your role is %(has)s",
                needed=visit.say(page.role.word),
                has=visit.say(has),
            )
            return visit.page("problem.html", 403, title=visit.say("Not for your role"), text=text)
        return page.answer(visit)
    except ImportError as error:
        if (sentence := missing(error)) is None:
            raise
        return visit.page("problem.html", 409, title=visit.say("This cannot be done"), text=sentence)
    except (ClinicalError, ConnectorError, EcgFmError) as error:
        title = visit.say("This cannot be done")
        return visit.page("problem.html", _status(error), title=title, text=str(error))


def _stranger(visit: Visit) -> Response:
    """A person is sent to sign in. A program is told that its token is none, and after many tries to wait."""
    if not visit.is_api:
        return signing_in.sent_to_sign_in(visit)
    if visit.token and not visit.console.limiter.takes(f"token {visit.token[:20]}", visit.address, now=visit.now):
        return visit.page("problem.html", 429, title="Not signed in", text=signing_in.TOO_OFTEN)
    return api.unknown(visit)


def _status(error: Exception) -> int:
    match error:
        case NotFound():
            return 404
        case InputError():
            return 400
        case StoreUnavailable():
            return 503
        case _:
            return 409


async def _visit(console: Console, request: Request, *, is_api: bool = False) -> Visit:
    token = api.token_of(request) if is_api else request.cookies.get(console.cookie, "")
    refreshes = request.headers.get("hx-request") == "true"
    body = await request.body()
    user = None if is_api else outside.by_proxy(request.headers, settings_of(console.settings))
    if user is None:
        user = await run_in_threadpool(_holder if is_api else _user, console, token, refreshes)
    return Visit(
        console=console,
        user=user,
        path=str(request.scope["path"]),
        places={name: str(value) for name, value in request.path_params.items()},
        asked=_asked(request.scope["query_string"].decode("ascii", "replace")),
        form=_form(request, body) if is_api else _asked(body.decode("utf-8", "replace")),
        address=_address(console, request),
        token=token,
        is_part=refreshes,
        cookies=request.cookies,
        is_api=is_api,
        is_get=request.method != "POST",
        accepted=request.headers.get("accept-language", ""),
    )


def _asked(text: str) -> Asked:
    try:
        return Asked.of(text)
    except InputError:  # no page of ours sends that: nothing was asked
        return Asked(fields={})


def _form(request: Request, body: bytes) -> Asked:
    try:
        return api.form_of(request, body)
    except InputError:  # the act then says what it misses
        return Asked(fields={})


def _holder(console: Console, token: str, refreshes: bool) -> User | None:
    """Whose token it is; None where it is nobody's any more."""
    try:
        return console.tokens.holder(token) if token else None
    except SettingsError:
        log.event("web.tokens-damaged", logging.ERROR)
        return None


def _user(console: Console, token: str, refreshes: bool) -> User | None:
    """Who holds the session; None where it is over. Somebody of the file of users has the role of today; who was
    removed from it, or got another password since, is out.
    """
    held = console.sessions.user_of(token, now=console.clock(), is_a_click=not refreshes)
    if held is None or held.way != "file":
        return held
    try:
        known = console.users.find(held.name)
        return known if known is not None and known.password == held.password else None
    except SettingsError:
        log.event("web.users-damaged", logging.ERROR)
        return None


def _address(console: Console, request: Request) -> str:
    """Whose browser it is: the reverse proxy says so by the last entry of X-Forwarded-For, nobody else may."""
    direct = request.client.host if request.client is not None else ""
    forwarded = request.headers.getlist("x-forwarded-for")
    if settings_of(console.settings).proxies and forwarded:
        return forwarded[-1].rpartition(",")[2].strip()[:64]
    return direct
