"""What one unit of a sender's amplitude scale is in millivolts, for every spelling met in the wild."""

import unicodedata

#: UCUM codes, names, and ISO/IEEE 11073-10101 dimension codes (4::4256, 4::4274–4276), all lower-case, mu written u.
#: `MV` is read as millivolt: no electrocardiograph measures megavolts, but some write capitals only.
_MILLIVOLTS = {
    "v": 1000.0,
    "volt": 1000.0,
    "volts": 1000.0,
    "mv": 1.0,
    "millivolt": 1.0,
    "millivolts": 1.0,
    "uv": 0.001,
    "microvolt": 0.001,
    "microvolts": 0.001,
    "microv": 0.001,
    "nv": 1e-6,
    "nanovolt": 1e-6,
    "nanovolts": 1e-6,
    "mdc_dim_volt": 1000.0,
    "mdc_dim_milli_volt": 1.0,
    "mdc_dim_micro_volt": 0.001,
    "mdc_dim_nano_volt": 1e-6,
    "266400": 1000.0,
    "266418": 1.0,
    "266419": 0.001,
    "266420": 1e-6,
}


#: A mu as it looks where its bytes are read as Latin-1: UTF-8 (micro sign, Greek letter), Shift-JIS, GBK and EUC-JP,
#: DOS code pages.
_MISREAD_MU = ("Âµ", "Î¼", "\x83Ê", "¦Ì", "æ")


def millivolts(unit: str) -> float | None:
    """mV in one `unit`, or None where the unit is no voltage we know.

    Accepts UCUM (uV, mV, nV, V), the micro sign (U+00B5) and Greek mu (U+03BC), the mu of other encodings read as
    Latin-1, capitals, written-out names, and MDC dimension codes.
    """
    text = unit.strip()
    for misread in _MISREAD_MU:
        text = text.replace(misread, "u")
    text = unicodedata.normalize("NFKC", text).replace("μ", "u").lower()
    return _MILLIVOLTS.get(text.strip("[]() "))
