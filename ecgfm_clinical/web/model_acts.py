"""One model: what the gate says, how it compares in the shadow; and making it live, or taking that back, with a reason.

Everything that opens a bundle is imported where it is done: the console starts without torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, RedirectResponse, Response

from ecgfm_clinical.bundles import encoders_of
from ecgfm_clinical.errors import InputError, NotFound, StoreError
from ecgfm_clinical.extras import have
from ecgfm_clinical.web.asking import whole
from ecgfm_clinical.web.lines import Shadow
from ecgfm_clinical.web.visit import Visit

if TYPE_CHECKING:
    from ecgfm_clinical.staging.model_records import ModelRow

#: A report is one file with its pictures and styles in it; it may do nothing else.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"


def number_of_models(visit: Visit) -> "dict[str, int]":
    """model_id -> its number in the console: 1 for the first that was registered."""
    return {row.model_id: number for number, row in enumerate(reversed(visit.store.models.models()), 1)}


def one(visit: Visit) -> Response:
    """Everything known of one model."""
    row, registry = _row(visit), visit.store.models
    live = registry.live()
    return visit.page(
        "model.html",
        row=row,
        encoders=encoders_of(visit.settings, row.path, row.model_id),
        number=whole(visit.places["model"], "model"),
        state=registry.states()[row.model_id],
        live=live,
        verdicts=registry.judgements(model_id=row.model_id),
        history=registry.history(model_id=row.model_id)[::-1],
        shadow=_shadow(visit, row),
        refusal=_refusal(visit, row),
    )


def report(visit: Visit) -> Response:
    """The newest report on a head, as `retrain` or `evaluate` wrote it, where this host can read it."""
    row, head = _row(visit), visit.asked.text("head")
    found = [one for one in visit.store.models.judgements(model_id=row.model_id) if not head or one.head == head]
    path = visit.settings.resolve(Path(found[0].report)) if found else None
    if path is None or not path.is_file():
        text = (
            visit.say("there is no report to show: no head of it was judged")
            if path is None
            else visit.say("there is no report to show: it was written to %(path)s on the host that judged", path=path)
        )
        return visit.page("problem.html", 404 if visit.is_api else 200, title=visit.say("No report here"), text=text)
    text = path.read_text(encoding="utf-8", errors="replace")
    return HTMLResponse(text, headers={"Content-Security-Policy": _REPORT_POLICY})


def promote(visit: Visit) -> Response:
    """Make it live, where the gate lets it. Raises GateRefused."""
    from ecgfm_clinical.learning import governance, models

    row, reason = _row(visit), visit.form.reason()
    _refuse_if_overtaken(visit)
    models.opened(visit.settings, row)  # one that cannot be opened must not become live
    drop = visit.form.text("drop_heads") == "yes"
    governance.promote(visit.store.models, row, now=visit.now, actor=visit.actor, reason=reason, drop_heads=drop)
    return RedirectResponse("/models", 303)


def rollback(visit: Visit) -> Response:
    """Make the model live again that was live before; needs no gate."""
    from ecgfm_clinical.learning import governance, models

    reason = visit.form.reason()
    _refuse_if_overtaken(visit)
    models.opened(visit.settings, governance.previous(visit.store.models))
    governance.rollback(visit.store.models, now=visit.now, actor=visit.actor, reason=reason)
    return RedirectResponse("/models", 303)


def shadow(visit: Visit) -> Response:
    """Let it answer live ECGs unheard, or end that."""
    from ecgfm_clinical.learning import models

    row, reason, act = _row(visit), visit.form.reason(), visit.form.text("act")
    if act not in ("shadow-on", "shadow-off"):
        raise InputError("there are the acts shadow-on and shadow-off")
    current = visit.store.models.shadow()
    if act == "shadow-off" and (current is None or current[0].model_id != row.model_id):
        raise StoreError(f"{row.name} {row.version} is not in the shadow any more; look again")
    if act == "shadow-on":
        models.opened(visit.settings, row)
    registry = visit.store.models
    if act == "shadow-on":
        registry.act("shadow-on", row.model_id, now=visit.now, actor=visit.actor, reason=reason)
    else:
        registry.act("shadow-off", row.model_id, now=visit.now, actor=visit.actor, reason=reason)
    return RedirectResponse(f"/models/{whole(visit.places['model'], 'model')}", 303)


def _row(visit: Visit) -> "ModelRow":
    number = whole(visit.places["model"], "model")
    rows = visit.store.models.models()[::-1]
    if not 1 <= number <= len(rows):
        raise NotFound(f"there is no model {number}")
    return rows[number - 1]


def _refuse_if_overtaken(visit: Visit) -> None:
    """Raises StoreError where another model is live than on the page on which this was decided."""
    live, seen = visit.store.models.live(), visit.form.text("live")
    if seen and live is not None and live.model_id != seen:
        last = visit.store.models.history(model_id=live.model_id)[-1]
        raise StoreError(
            f"nothing was done: {last.actor} made {live.name} {live.version} live at {last.at:%Y-%m-%d %H:%M:%S} UTC"
            f"{': ' + last.reason if last.reason else ''}; look again"
        )


def _shadow(visit: Visit, row: "ModelRow") -> Shadow:
    current = visit.store.models.shadow()
    answered = visit.store.shadow_answers.count(row.model_id)
    compared = None
    if answered and have("score"):
        from ecgfm_clinical.pipeline import shadow as shadows

        compared = shadows.compared(visit.store.shadow_answers, row)
    return Shadow(is_on=current is not None and current[0].model_id == row.model_id, compared=compared)


def _refusal(visit: Visit, row: "ModelRow") -> str:
    """What the gate has against making it live; empty where it has nothing, or where this host cannot ask it."""
    if not have("score"):
        return ""
    from ecgfm_clinical.errors import GateRefused
    from ecgfm_clinical.learning import governance

    try:
        governance.check_promotion(visit.store.models, row)
    except GateRefused as error:
        return str(error)
    return ""
