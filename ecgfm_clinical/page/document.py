"""The result page as HTML: texts and tables around the drawing that the viewer shows.

A4 and Letter in landscape hold the same block, 265 mm wide, so that ten seconds stand on them at 25 mm/s in true
millimetres. Each text is escaped once, where it enters.
"""

from collections.abc import Callable, Iterable, Iterator
from html import escape

from ecgfm_clinical.page.content import Answer, Content

COLUMNS = 3  #: of the table of answers
MOST_ROWS = 11  #: of each
MOST_TEXT = 160  #: letters of one value: what is longer is cut, and ends in …

#: The width of the block is that of the drawing (`ecg.sheet.BAND`); every size follows the first one.
STYLE = """
@page {{ size: {paper} landscape; margin: 5mm {side} 4mm }}
html {{ font: {points}pt/1.2 Page; color: #15171c; font-variant-ligatures: none }}
h1 {{ font-size: 1.7em; margin: 0; display: inline }}
h2 {{ font-size: 1.07em; margin: .3em 0 .1em }}
body, p {{ margin: 0 }}
.marks {{ display: inline; font-weight: bold }}
.mark {{ display: inline-block; border: .3mm solid #15171c; padding: .1em .5em; margin-left: .5em }}
.facts {{ margin-top: .3em }}
.name {{ color: #6d615f }}
.value {{ font-weight: bold; margin-right: 1em }}
.person {{ font-size: 1.14em }}
svg {{ display: block; margin-top: 1mm }}
.columns {{ display: flex; gap: 3mm }}
table {{ border-collapse: collapse; width: 86mm; font-size: .89em }}
th {{ text-align: left; font-weight: normal; color: #6d615f }}
tbody th {{ color: #15171c }}
td {{ white-space: nowrap }}
td, th {{ padding: 0 1mm .02em 0; border-bottom: .1mm solid #eaa79b; vertical-align: top }}
.small {{ font-size: .83em; line-height: 1.15 }}
"""


def html_of(content: Content, figure: str, footer: str, *, paper: str, side: str, points: float) -> str:
    """`figure`: the drawing (SVG); `footer`: what it shows, at which scale; `side`: margin that leaves 265 mm;
    `points`: size of the letters.
    """
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(content.title)}</title>'
        f"<style>{STYLE.format(paper=paper, side=side, points=points)}</style></head><body>"
        + "".join(_body(content, figure, footer))
        + "</body></html>"
    )


def _body(content: Content, figure: str, footer: str) -> Iterator[str]:
    yield f"<h1>{escape(content.title)}</h1>"
    yield "<p class=marks>" + "".join(f"<span class=mark>{_text(one)}</span> " for one in content.marks) + "</p>"
    yield _facts(content.person, "facts person") + _facts(content.recording, "facts")
    yield figure
    yield f"<p class=small>{_text(footer, None)}</p>"
    yield from (f"<p class=small>{_text(' · '.join(content.remarks), 400)}</p>" for _ in content.remarks[:1])
    yield "<h2>Answers of the model</h2>" + _answers(content.answers)
    yield from _listed("Not evaluable", content.reasons)
    yield from _listed("What it means", content.meanings)
    yield _facts(content.model, "facts small")
    yield f"<p class=small><strong>{_text(content.limit)}</strong></p>"


def _facts(facts: Iterable[tuple[str, str]], style: str) -> str:
    told = (f"<span class=name>{_text(name)}</span> <span class=value>{_text(value)}</span> " for name, value in facts)
    return f'<p class="{style}">{"".join(told)}</p>'


def _listed(title: str, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    told = [f"<p class=small><strong>{_text(name, 300)}</strong>: {_text(text, 400)}</p>" for name, text in entries]
    if told:
        yield f"<h2>{title}</h2>" + "".join(told)


def _answers(answers: tuple[Answer, ...]) -> str:
    shown = answers[: COLUMNS * MOST_ROWS]
    rows = max(1, -(-len(shown) // COLUMNS))
    tables = "".join(_table(shown[start : start + rows]) for start in range(0, len(shown), rows))
    left = len(answers) - len(shown)
    rest = f"<p>{left} further labels stand in the numbers of this result.</p>" if left else ""
    return f"<div class=columns>{tables}</div>{rest}"


def _table(answers: Iterable[Answer]) -> str:
    head = "".join(f"<th scope=col>{name}</th>" for name in ("Label", "Probability", "Threshold", "Answer"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, answers))}</tbody></table>"


def _row(one: Answer) -> str:
    cells = (one.probability or "–", one.threshold or "–", one.answer or "–")
    return f"<tr><th scope=row>{_text(one.name)}</th>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"


def _text(text: str, most: int | None = MOST_TEXT) -> str:
    return escape(text if most is None or len(text) <= most else text[: most - 1] + "…")


def printable(text: str, has: Callable[[str], bool]) -> str:
    """The same with ? for every letter that the page's font does not have."""
    return "".join(letter if has(letter) else "?" for letter in text)
