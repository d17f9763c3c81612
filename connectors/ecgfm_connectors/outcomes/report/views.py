"""Views of the heart in one plane, as reports write them: `4CH`, `A4C`, `2-Kammerblick`, `4 cavités`."""

import re

_VIEW = re.compile(
    r"[24](?:[ -]?(?:chambers?|ch|kammer\w{0,12}|kammar\w{0,8}|kam|kmr|kamers?|kamerbeeld\w{0,3}|rum\w{0,6}|cavites?"
    r"|camere|camaras?|cavidades?)|c|k|kb|kv)(?![a-z0-9])"
)
_BEHIND_LETTERS = re.compile(r"(?:a|ap|sp|bp)[24](?![\w.,%])")


def end(folded: str, at: int) -> int | None:
    """Where the view that begins at `at` ends; None where none begins."""
    if folded[at] not in "24" or folded[at - 1 : at].isdigit():
        return None
    if folded[at - 1 : at].isalpha():
        found = _BEHIND_LETTERS.match(folded, max(at - 1, 0)) or _BEHIND_LETTERS.match(folded, max(at - 2, 0))
        if found is not None and found.end() == at + 1:
            return at + 1
    found = _VIEW.match(folded, at)
    return None if found is None else found.end()
