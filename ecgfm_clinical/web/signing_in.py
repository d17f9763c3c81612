"""Signing in and out. Who fails too often waits; who is signed in holds a cookie that no script can read."""

from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.web.visit import Visit

WRONG = "this name and this password do not belong together"
TOO_OFTEN = "too many tries: wait a quarter of an hour"


def ask(visit: Visit) -> Response:
    """The form."""
    return visit.page("sign_in.html", to=_safe(visit.asked.text("to")), problem="")


def begin(visit: Visit) -> Response:
    """Check name and password; both answers take as long, whether there is such a name or not."""
    console, form = visit.console, visit.form
    name, to = form.text("name"), _safe(form.text("to"))
    if not console.limiter.takes(name, visit.address, now=visit.now):
        return visit.page("sign_in.html", 429, to=to, problem=TOO_OFTEN)
    user = console.users.verified(name, (form.fields.get("password") or ("",))[-1])
    if user is None:
        known = console.users.find(name)  # a name that is none may be a password, typed into the wrong field
        _note(visit, "console.sign-in-failed", known.name if known is not None else "")
        return visit.page("sign_in.html", 401, to=to, problem=WRONG)
    console.limiter.succeeded(name, visit.address)
    token = console.sessions.begin(user.name, now=visit.now)
    _note(visit, "console.signed-in", user.name)
    answer = RedirectResponse(to, 303)
    answer.set_cookie(
        console.cookie, token, path="/", secure=console.encrypted, httponly=True, samesite="strict"
    )  # without an age: it ends with the browser, and with the session before that
    return answer


def end(visit: Visit) -> Response:
    """Forget the session here and in the browser."""
    visit.console.sessions.end(visit.token)
    if visit.user is not None:
        _note(visit, "console.signed-out", visit.user.name)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(
        visit.console.cookie, path="/", secure=visit.console.encrypted, httponly=True, samesite="strict"
    )
    return answer


def sent_to_sign_in(visit: Visit) -> Response:
    """Who is not signed in, or no longer, is sent to the form and back again."""
    query = visit.asked.query()
    wanted = visit.path + (f"?{query}" if query else "")
    return RedirectResponse(f"/sign-in?{urlencode({'to': wanted})}", 303)


def _safe(to: str) -> str:
    """A path of ours: a form must not lead to anybody else's page."""
    is_ours = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() and "\\" not in to
    return to if is_ours else "/"


def _note(visit: Visit, action: str, name: str) -> None:
    visit.store.audit_spool.note(
        action, now=visit.now, actor=visit.actor if not name else f"{name} by web", detail={"user": name}
    )
