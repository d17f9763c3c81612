"""Agree or disagree with an answer, as a cardiologist whom the settings name."""

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.web.one_ecg import is_cardiologist, number_of
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_


def say(visit: Visit) -> Response:
    """Keep the word; the newest of each cardiologist on a label counts."""
    ecg_id, form = number_of(visit), visit.form
    if visit.user is None or not is_cardiologist(visit):
        raise InputError(N_("only whom web.cardiologists names in the settings may agree or disagree with an answer"))
    verdict, word = form.text("verdict"), form.text("word")
    if verdict not in ("agree", "disagree"):
        raise InputError(N_("say agree or disagree"))
    if not word:
        raise InputError(N_("say why, in a word, without patient data"))
    visit.store.opinions.say(
        ecg_id,
        head=form.text("head"),
        label=form.text("label"),
        agrees=verdict == "agree",
        word=word,
        cardiologist=visit.user.name,
        scoring_id=form.number("scoring"),
        now=visit.now,
        actor=visit.actor,
    )
    return RedirectResponse(f"/ecgs/{ecg_id}#answers", 303)
