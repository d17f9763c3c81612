"""Whole numbers from ten to ninety-nine in the words of eight languages, folded: `thirty-five percent`, `trente-cinq`.

Larger ones are no percentage and smaller ones stand in too many other phrases.
"""

from collections.abc import Iterator, Mapping, Sequence

_ENGLISH = ("one two three four five six seven eight nine",
            "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
            "twenty thirty forty fifty sixty seventy eighty ninety")  # fmt: skip
_GERMAN = ("ein zwei drei vier funf sechs sieben acht neun",
           "zehn elf zwolf dreizehn vierzehn funfzehn sechzehn siebzehn achtzehn neunzehn",
           "zwanzig dreisig vierzig funfzig sechzig siebzig achtzig neunzig")  # fmt: skip
_FRENCH = ("un deux trois quatre cinq six sept huit neuf",
           "dix|onze|douze|treize|quatorze|quinze|seize|dix sept|dix huit|dix neuf",
           "vingt|trente|quarante|cinquante|soixante|septante|huitante|nonante")  # fmt: skip
_SPANISH = ("uno dos tres cuatro cinco seis siete ocho nueve",
            "diez once doce trece catorce quince dieciseis diecisiete dieciocho diecinueve",
            "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa")  # fmt: skip
_ITALIAN = ("uno due tre quattro cinque sei sette otto nove",
            "dieci undici dodici tredici quattordici quindici sedici diciassette diciotto diciannove",
            "venti trenta quaranta cinquanta sessanta settanta ottanta novanta")  # fmt: skip
_DUTCH = ("een twee drie vier vijf zes zeven acht negen",
          "tien elf twaalf dertien veertien vijftien zestien zeventien achttien negentien",
          "twintig dertig veertig vijftig zestig zeventig tachtig negentig")  # fmt: skip
_PORTUGUESE = ("um dois tres quatro cinco seis sete oito nove",
               "dez onze doze treze catorze quinze dezasseis dezassete dezoito dezanove",
               "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa")  # fmt: skip
_SWEDISH = ("ett tva tre fyra fem sex sju atta nio",
            "tio elva tolv tretton fjorton femton sexton sjutton arton nitton",
            "tjugo trettio fyrtio femtio sextio sjuttio attio nittio")  # fmt: skip
_OTHER_SPELLINGS = {"dreissig": 30, "zwoelf": 12, "fuenfzig": 50, "quatorze": 14, "dezesseis": 16, "dezessete": 17,
                    "dezenove": 19, "octante": 80}  # fmt: skip


def at(words: Sequence[str], index: int) -> tuple[int, int] | None:
    """The number that begins at a word, and how many words it has; None where none begins."""
    for size in range(min(_LONGEST, len(words) - index), 0, -1):
        value = _NUMBERS.get(tuple(words[index : index + size]))
        if value is not None:
            return value, size
    return None


def _listed(language: tuple[str, str, str]) -> tuple[list[str], list[str], list[str]]:
    units, teens, tens = (part.split("|") if "|" in part else part.split() for part in language)
    return units, teens, tens


def _numbers() -> Mapping[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {(word,): value for word, value in _OTHER_SPELLINGS.items()}
    for language in (_ENGLISH, _GERMAN, _FRENCH, _SPANISH, _ITALIAN, _DUTCH, _PORTUGUESE, _SWEDISH):
        units, teens, tens = _listed(language)
        found |= {tuple(word.split()): 10 + at for at, word in enumerate(teens)}
        for ten, word in enumerate(tens, start=2):
            found[(word,)] = ten * 10
            for unit, small in enumerate(units, start=1):
                found |= {tuple(spelt.split()): ten * 10 + unit for spelt in _joined(language, word, small)}
    for at, word in enumerate(_listed(_FRENCH)[1]):
        found |= {tuple(f"{sixty} {word}".split()): 70 + at for sixty in ("soixante", "soixante et")}
        found[tuple(f"quatre vingt {word}".split())] = 90 + at
    found |= {tuple(f"quatre vingt {word}".split()): 81 + at for at, word in enumerate(_listed(_FRENCH)[0])}
    return found | {("quatre", "vingt"): 80, ("quatre", "vingts"): 80}


def _joined(language: tuple[str, str, str], ten: str, unit: str) -> Iterator[str]:
    """Thirty and five as the language joins them."""
    if language is _ENGLISH:
        yield from (f"{ten} {unit}", f"{ten}{unit}")
    elif language is _GERMAN:
        yield from (f"{unit}und{ten}", f"{unit}und{ten.replace('dreisig', 'dreissig')}")
    elif language is _FRENCH:
        yield from (f"{ten} {unit}", f"{ten} et {unit}")
    elif language in (_SPANISH, _PORTUGUESE):
        yield from (f"{ten} y {unit}", f"{ten} e {unit}", f"veinti{unit}" if ten == "veinte" else f"{ten} e {unit}")
    elif language is _ITALIAN:
        yield (ten[:-1] if unit[0] in "uo" else ten) + unit
    elif language is _DUTCH:
        yield f"{unit}en{ten}"
    else:
        yield f"{ten}{unit}"


_NUMBERS = _numbers()
_LONGEST = max(map(len, _NUMBERS))
