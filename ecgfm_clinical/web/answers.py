"""The answers on the viewer's page. Where the model looked is computed by the score role for whoever asks; until then
the page says how far it is.
"""

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.operate.answers import Answers, answers_of
from ecgfm_clinical.web.asking import Asked
from ecgfm_clinical.web.one_ecg import number_of
from ecgfm_clinical.web.wishes import Wish

if TYPE_CHECKING:
    from ecgfm_clinical.staging.story_records import EcgStory
    from ecgfm_clinical.web.visit import Visit


def answers_now(visit: "Visit", story: "EcgStory") -> Answers:
    """Those that count, with the questions about them."""
    ecg_id = story.ecg.ecg_id
    return answers_of(
        story.scorings[-1].scores if story.scorings else (),
        visit.store.saliencies.of(ecg_id),
        scoring_id=visit.store.ecgs.scoring_of(ecg_id),
        say=visit.say,
    )


def show(visit: "Visit") -> Response:
    """The answers alone, as the page asks for them again while something is under way. They identify nobody."""
    story = visit.store.ecgs.story(number_of(visit))
    return visit.page(
        "answers.html",
        story=story,
        wish=Wish.of(visit.asked),
        newest=story.scorings[-1] if story.scorings else None,
        answers=answers_now(visit, story),
    )


def ask(visit: "Visit") -> Response:
    """Ask where the model looked for one label; the viewer then says how far that is."""
    ecg_id, form = number_of(visit), visit.form
    visit.store.saliencies.ask(
        ecg_id,
        head=form.text("head"),
        label=form.text("label"),
        scoring_id=form.number("scoring"),
        now=visit.now,
        actor=visit.actor,
    )
    view = Wish.of(Asked.of(form.text("view"))).query()
    return RedirectResponse(f"/ecgs/{ecg_id}/viewer?{view}#answers", 303)
