"""Long words of the names of chambers and their ejection fraction, with one typing error taken back.

Other chambers are mended like the left one: `right ventricluar ejection fraction` is not the left ventricle's.
"""

_SHORTEST = 8  #: letters; a shorter word with one error may be another word
_WORDS = (
    "ejection", "fraction", "ejektionsfraktion", "auswurffraktion", "ejectiefractie", "eyeccion", "fraccion",
    "eiezione", "frazione", "ventricle", "ventricular", "ventricule", "ventriculaire", "ventriculo", "ventricolo",
    "ventricolare", "ventrikel", "ventrikels", "rechtsventrikulare", "linksventrikulare", "hogerkammare",
    "vansterkammare",
)  # fmt: skip
_KNOWN = frozenset(_WORDS)


def respelled(word: str) -> str:
    """The word of a name that `word` is with one letter missing, added, changed or two changed round; else `word`."""
    if len(word) < _SHORTEST - 1 or len(word) > max(map(len, _WORDS)) + 1 or word in _KNOWN:
        return word
    return next((right for right in _WORDS if word[0] == right[0] and _one_error(word, right)), word)


def _one_error(word: str, right: str) -> bool:
    if abs(len(word) - len(right)) > 1 or word == right + "s":  # a plural speaks of more than this study
        return False
    same = 0
    while same < min(len(word), len(right)) and word[same] == right[same]:
        same += 1
    left, other = word[same:], right[same:]
    if len(word) == len(right):
        return left[1:] == other[1:] or (left[:2] == other[1::-1] and left[2:] == other[2:])
    return left[1:] == other if len(word) > len(right) else left == other[1:]
