"""Signing in and out. Who fails too often waits; who is signed in holds a cookie that no script can read."""

from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.web.users import Way
from ecgfm_clinical.web.visit import Console, Visit, actor_of
from ecgfm_clinical.wording import N_

WRONG = N_("this name and this password do not belong together")
TOO_OFTEN = N_("too many tries: wait a quarter of an hour")


def ask(visit: Visit) -> Response:
    """The form."""
    return form(visit, to=safe(visit.asked.text("to")))


def begin(visit: Visit) -> Response:
    """Check name and password; both answers take as long, whether there is such a name or not."""
    console, told = visit.console, visit.form
    name, to = told.text("name"), safe(told.text("to"))
    if not console.limiter.takes(name, visit.address, now=visit.now):
        if console.limiter.is_first_refusal(visit.address, now=visit.now):
            known = console.users.find(name)
            note(visit, "console.sign-in-refused", known.name if known is not None else "")
        return form(visit, 429, to=to, problem=TOO_OFTEN)
    user = console.users.verified(name, (told.fields.get("password") or ("",))[-1])
    if user is None:
        known = console.users.find(name)  # a name that is none may be a password, typed into the wrong field
        note(visit, "console.sign-in-failed", known.name if known is not None else "")
        return form(visit, 401, to=to, problem=WRONG)
    console.limiter.succeeded(name, visit.address)
    token = console.sessions.begin(user, now=visit.now)
    note(visit, "console.signed-in", user.name)
    answer = RedirectResponse(to, 303)
    hand_over(visit, answer, token)
    return answer


def hand_over(visit: Visit, answer: Response, token: str) -> None:
    """Give the browser its session. The cookie has no age: it ends with the browser, and with the session before."""
    visit.console.sessions.end(visit.token)
    answer.set_cookie(
        visit.console.cookie, token, path="/", secure=visit.console.encrypted, httponly=True, samesite="strict"
    )


def form(visit: Visit, status: int = 200, *, to: str, problem: str = "") -> Response:
    """The page to sign in on, with each way that there is."""
    console = visit.console
    return visit.page(
        "sign_in.html",
        status,
        to=to,
        problem=problem,
        has_users=bool(console.users.all()),
        provider=console.oidc.name if console.oidc is not None else "",
        provided=urlencode({"to": to}),
    )


def once(visit: Visit) -> Response:
    """By a link of the demo's, which works once."""
    links = visit.console.links
    user = links.use(visit.asked.text("token"), now=visit.now) if links is not None else None
    if user is None:
        return form(visit, 401, to="/", problem=N_("this link was used already, or is too old"))
    note(visit, "console.signed-in", user.name, way=user.way)
    answer = RedirectResponse("/", 303)
    hand_over(visit, answer, visit.console.sessions.begin(user, now=visit.now))
    return answer


def end(visit: Visit) -> Response:
    """Forget the session here and in the browser."""
    visit.console.sessions.end(visit.token)
    if visit.user is not None:
        note(visit, "console.signed-out", visit.user.name, way=visit.user.way)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(
        visit.console.cookie, path="/", secure=visit.console.encrypted, httponly=True, samesite="strict"
    )
    return answer


def sent_to_sign_in(visit: Visit) -> Response:
    """Who is not signed in, or no longer, is sent to the form and back again."""
    return RedirectResponse(f"/sign-in?{urlencode({'to': visit.here})}", 303)


def safe(to: str) -> str:
    """A path of ours: a form must not lead to anybody else's page."""
    is_ours = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() and "\\" not in to
    return to if is_ours else "/"


def note(visit: Visit, action: str, name: str, *, way: Way = "file") -> None:
    """Into the audit trail; `name` is empty where nobody knows who it was."""
    detail = {"user": name, "address": visit.address} | ({"way": way} if way != "file" else {})
    signature = f"{name} ({way})" if way != "file" else name
    actor = actor_of(signature if name else "nobody")
    visit.store.audit_spool.note(action, now=visit.now, actor=actor, detail=detail)


def note_ran_out(console: Console) -> None:
    """Whose sign-in ended by itself goes into the audit trail, too."""
    for user in console.sessions.ran_out(now=console.clock()):
        actor, detail = actor_of(user.signature), {"user": user.name}
        console.store.audit_spool.note("console.timed-out", now=console.clock(), actor=actor, detail=detail)
