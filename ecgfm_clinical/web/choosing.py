"""Which language this browser wants; kept in a cookie of its own, which says nothing of who looks."""

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.web.languages import COOKIE
from ecgfm_clinical.web.signing_in import safe
from ecgfm_clinical.web.visit import Visit

LASTS = 365 * 86400  #: seconds


def language(visit: Visit) -> Response:
    """Keep the choice, and back to the page."""
    code = visit.form.text("language")
    if code not in visit.console.languages:
        raise InputError(f"there are the languages {', '.join(visit.console.languages)}")
    answer = RedirectResponse(safe(visit.form.text("to")), 303)
    secure = visit.console.encrypted
    answer.set_cookie(COOKIE, code, max_age=LASTS, path="/", secure=secure, httponly=True, samesite="strict")
    return answer
