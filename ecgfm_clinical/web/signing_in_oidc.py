"""The two steps of a sign-in by a provider: off to it, and back with its answer."""

import hmac

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.web import signing_in
from ecgfm_clinical.web.oidc import Begun, Provider, SignInRefused
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_

LASTS = 600  #: seconds that somebody may take at the provider


def begin(visit: Visit) -> Response:
    """Off to the provider, with a cookie that says which sign-in this browser began."""
    provider, begun = _provider(visit), Begun.anew(signing_in.safe(visit.asked.text("to")))
    try:
        answer = RedirectResponse(provider.address(begun), 303)
    except SignInRefused as refused:
        return _refused(visit, str(refused))
    answer.set_cookie(
        _cookie(visit),
        begun.text,
        max_age=LASTS,
        path="/",
        secure=visit.console.encrypted,
        httponly=True,
        samesite="lax",  # the provider sends the browser back: a strict cookie would not come with it
    )
    return answer


def back(visit: Visit) -> Response:
    """Whom the provider has signed in, where this browser asked for it."""
    provider, console = _provider(visit), visit.console
    begun, state = Begun.of(visit.cookies.get(_cookie(visit), "")), visit.asked.text("state")
    if begun is None or not hmac.compare_digest(begun.state.encode(), state.encode()):
        return _refused(visit, N_("this browser began no such sign-in, or too long ago: begin again"))
    if visit.asked.text("error") or not visit.asked.long_text("code"):
        return _refused(visit, N_("the provider did not sign you in"))
    if not console.limiter.takes(begun.state, visit.address, now=visit.now):
        return _refused(visit, signing_in.TOO_OFTEN, 429)
    try:
        user = provider.user(begun, code=visit.asked.long_text("code"), issuer=visit.asked.text("iss"))
    except (SignInRefused, InputError) as refused:
        signing_in.note(visit, "console.sign-in-failed", "", way="oidc")
        return _refused(visit, str(refused))
    console.limiter.succeeded(begun.state, visit.address)
    token = console.sessions.begin(user, now=visit.now)
    signing_in.note(visit, "console.signed-in", user.name, way="oidc")
    # A page of ours, which then leads on: on a redirect that began at the provider the strict cookie would not be sent.
    answer = visit.page("signed_in.html", to=signing_in.safe(begun.to))
    signing_in.hand_over(visit, answer, token)
    answer.delete_cookie(_cookie(visit), path="/", secure=console.encrypted, httponly=True, samesite="lax")
    return answer


def _provider(visit: Visit) -> Provider:
    if visit.console.oidc is None:
        raise NotFound("nobody signs in by a provider here: the settings have no [web.oidc]")
    return visit.console.oidc


def _cookie(visit: Visit) -> str:
    return f"{visit.console.cookie}-oidc"


def _refused(visit: Visit, text: str, status: int = 401) -> Response:
    return signing_in.form(visit, status, to="", problem=text)
