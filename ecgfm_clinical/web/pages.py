"""The table of pages: path, method, role. What is not here is not answered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.responses import Response

from ecgfm_clinical.web import (
    acts,
    answers,
    audit,
    choosing,
    dead,
    drawings,
    drift,
    ecgs,
    failed,
    held,
    installation,
    model_acts,
    models,
    now,
    oidc,
    one_ecg,
    opinions,
    outcomes,
    pauses,
    presets,
    previews,
    refused,
    signing_in,
    signing_in_oidc,
    undoing,
    viewer,
)
from ecgfm_clinical.web.users import Role
from ecgfm_clinical.web.visit import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One route. POST writes (into the audit trail at least), GET never does, except that it notes who looked."""

    method: Literal["GET", "POST"]
    path: str
    answer: Callable[[Visit], Response]
    role: Role | None  #: the least one; None: also who is not signed in


def _get(path: str, answer: Callable[[Visit], Response], role: Role | None = Role.VIEWER) -> Page:
    return Page(method="GET", path=path, answer=answer, role=role)


def _post(path: str, answer: Callable[[Visit], Response], role: Role | None) -> Page:
    return Page(method="POST", path=path, answer=answer, role=role)


PAGES = (
    _get("/sign-in", signing_in.ask, None),
    _post("/sign-in", signing_in.begin, None),
    _post("/sign-out", signing_in.end, None),
    _get("/sign-in/once", signing_in.once, None),
    _get("/sign-in/oidc", signing_in_oidc.begin, None),
    _get(oidc.BACK, signing_in_oidc.back, None),
    _post("/language", choosing.language, None),
    _get("/", now.show),
    _get("/ecgs", ecgs.show),
    _get("/ecgs.csv", ecgs.csv),
    _post("/ecgs/of-patient", ecgs.of_patient, Role.VIEWER),
    _post("/ecgs/presets/keep", presets.keep, Role.VIEWER),
    _post("/ecgs/presets/forget", presets.forget, Role.VIEWER),
    _get("/ecgs/{ecg:int}", one_ecg.show),
    _get("/ecgs/{ecg:int}/viewer", viewer.show),
    _get("/ecgs/{ecg:int}/drawing.svg", drawings.picture),
    _get("/ecgs/{ecg:int}/drawing.png", drawings.picture),
    _get("/ecgs/{ecg:int}/drawing.pdf", drawings.picture),
    _get("/ecgs/{ecg:int}/answers", answers.show),
    _post("/ecgs/{ecg:int}/saliency", answers.ask, Role.VIEWER),
    _post("/ecgs/{ecg:int}/open", one_ecg.opened, Role.VIEWER),
    _post("/ecgs/{ecg:int}/page", one_ecg.result_page, Role.VIEWER),
    _post("/ecgs/{ecg:int}/header", one_ecg.raw_header, Role.VIEWER),
    _post("/ecgs/{ecg:int}/opinion", opinions.say, Role.VIEWER),
    _get("/ecgs/{ecg:int}/preview", previews.show, Role.OPERATOR),
    _post("/ecgs/{ecg:int}/replay", acts.replay, Role.OPERATOR),
    _post("/ecgs/{ecg:int}/correct", acts.correct, Role.OPERATOR),
    _post("/ecgs/{ecg:int}/send-again", acts.send_again, Role.OPERATOR),
    _post("/ecgs/{ecg:int}/withdraw", acts.withdraw, Role.ADMINISTRATOR),
    _get("/dead", dead.show),
    _get("/dead/preview", dead.preview, Role.OPERATOR),
    _post("/dead/again", dead.again, Role.OPERATOR),
    _post("/dead/recompose", dead.recompose, Role.OPERATOR),
    _post("/dead/withdraw", dead.withdraw, Role.ADMINISTRATOR),
    _post("/undo", undoing.undo, Role.OPERATOR),
    _get("/refused", refused.show),
    _get("/refused/preview", refused.preview, Role.OPERATOR),
    _post("/refused/read-again", refused.again, Role.OPERATOR),
    _post("/refused/seen", refused.seen, Role.OPERATOR),
    _get("/held", held.show),
    _get("/held/failed/preview", failed.preview, Role.OPERATOR),
    _post("/held/failed/settle", failed.settle, Role.OPERATOR),
    _get("/held/{hold:int}", held.one),
    _post("/held/{hold:int}/open", held.opened, Role.VIEWER),
    _post("/held/{hold:int}/release", held.release, Role.ADMINISTRATOR),
    _post("/held/{hold:int}/reject", held.reject, Role.ADMINISTRATOR),
    _get("/pauses", pauses.show),
    _post("/pauses/pause", pauses.pause, Role.OPERATOR),
    _post("/pauses/resume", pauses.resume, Role.OPERATOR),
    _get("/outcomes", outcomes.show),
    _post("/outcomes/open", outcomes.opened, Role.VIEWER),
    _get("/models", models.show),
    _get("/models/{model:int}", model_acts.one),
    _get("/models/{model:int}/report", model_acts.report),
    _post("/models/{model:int}/promote", model_acts.promote, Role.ADMINISTRATOR),
    _post("/models/{model:int}/shadow", model_acts.shadow, Role.ADMINISTRATOR),
    _post("/models/rollback", model_acts.rollback, Role.ADMINISTRATOR),
    _get("/drift", drift.show),
    _get("/audit", audit.show),
    _post("/audit/verify", audit.verify, Role.OPERATOR),
    _get("/settings", installation.show, Role.OPERATOR),
    _post("/settings/check", installation.check, Role.OPERATOR),
)
