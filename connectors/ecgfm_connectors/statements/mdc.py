"""ISO/IEEE 11073-10102 (MDC) codes of rhythm, beats, pacing spikes and noise, as concepts of `statement.CATEGORIES`.

All rhythms of DICOM CID 3415 and all beats, pacing spikes and noise of CID 3335 (PS3.16), which print code and
reference id. An HL7 aECG carries the reference id (`MDC_ECG_RHY_ATR_FIB`), DICOM the number, either in two parts
(`10:9472`) or in one (`664832`). The standard lets a term carry discriminators: a suffix of the id, an offset of the
number; a term with one means what its base means.
"""

from collections.abc import Mapping

_PARTITION = 10  #: ECG annotations of ISO/IEEE 11073-10102
_RHYTHMS = {
    "MDC_ECG_RHY_SINUS_RHY": (9216, "sinus-rhythm"),
    "MDC_ECG_RHY_SINUS_NORMAL_RHY": (9232, "sinus-rhythm"),
    "MDC_ECG_RHY_SINUS_BRADY": (9248, "sinus-bradycardia"),
    "MDC_ECG_RHY_SINUS_TACHY": (9264, "sinus-tachycardia"),
    "MDC_ECG_RHY_SINUS_ARRHY": (9280, "sinus-rhythm"),
    "MDC_ECG_RHY_RESP_ARRHY": (9296, "sinus-rhythm"),
    "MDC_ECG_RHY_NON_RESP_ARRHY": (9312, "sinus-rhythm"),
    "MDC_ECG_RHY_WANDP_ARRHY": (9328, "other"),
    "MDC_ECG_RHY_WANDPAV_ARRHY": (9344, "other"),
    "MDC_ECG_RHY_ATR_ECT_RHY": (9360, "other"),
    "MDC_ECG_RHY_ATR_BIGEM": (9376, "other"),
    "MDC_ECG_RHY_ATR_TACHY": (9392, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_ATR_TACHY_PAROX": (9408, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_ATR_TACHY_MF": (9424, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_ATR_TACHY_AUTO": (9440, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_ATR_FLUT": (9456, "atrial-flutter"),
    "MDC_ECG_RHY_ATR_FIB": (9472, "atrial-fibrillation"),
    "MDC_ECG_RHY_SV_ECT_RHY": (9488, "other"),
    "MDC_ECG_RHY_SV_TACHY": (9504, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_SV_TACHY_PAROX": (9520, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_JUNC_RHY": (9536, "other"),
    "MDC_ECG_RHY_JUNC_ESC_BEATS": (9552, "other"),
    "MDC_ECG_RHY_JUNC_ACCEL": (9568, "other"),
    "MDC_ECG_RHY_JUNC_TACHY": (9584, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_AV_TACHY_RECIP": (9600, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_AV_TACHY_REENTRANT": (9616, "supraventricular-tachycardia"),
    "MDC_ECG_RHY_AV_HEART_BLK_DEG_1": (9632, "av-block-1"),
    "MDC_ECG_RHY_AV_HEART_BLK_DEG_2": (9648, "av-block"),
    "MDC_ECG_RHY_AV_HEART_BLK_DEG_2_I": (9664, "av-block"),
    "MDC_ECG_RHY_AV_HEART_BLK_DEG_2_II": (9680, "av-block"),
    "MDC_ECG_RHY_AV_HEART_BLK_DEG_3": (9696, "av-block"),
    "MDC_ECG_RHY_AV_DISSOC": (9712, "other"),
    "MDC_ECG_RHY_AV_DISSOC_INT": (9728, "other"),
    "MDC_ECG_RHY_AV_DISSOC_ISO": (9744, "other"),
    "MDC_ECG_RHY_AV_DISSOC_COMP": (9760, "other"),
    "MDC_ECG_RHY_SA_HEART_BLK_DEG_1": (9776, "other"),
    "MDC_ECG_RHY_SA_HEART_BLK_DEG_2_I": (9792, "other"),
    "MDC_ECG_RHY_SA_HEART_BLK_DEG_2_II": (9808, "other"),
    "MDC_ECG_RHY_SA_HEART_BLK_DEG_3": (9824, "other"),
    "MDC_ECG_RHY_V_RHY": (9840, "other"),
    "MDC_ECG_RHY_V_IDIO_RHY": (9856, "other"),
    "MDC_ECG_RHY_V_PARA": (9872, "other"),
    "MDC_ECG_RHY_V_AIVR": (9888, "other"),
    "MDC_ECG_RHY_V_IDIO_TACHY": (9904, "ventricular-tachycardia"),
    "MDC_ECG_RHY_V_BIGEM": (9920, "premature-ventricular"),
    "MDC_ECG_RHY_V_TRIGEM": (9936, "premature-ventricular"),
    "MDC_ECG_RHY_V_P_C_CPLT": (9952, "premature-ventricular"),
    "MDC_ECG_RHY_V_P_C_RUN": (9968, "premature-ventricular"),
    "MDC_ECG_RHY_V_TACHY": (9984, "ventricular-tachycardia"),
    "MDC_ECG_RHY_V_FLUT": (10000, "other"),
    "MDC_ECG_RHY_V_FIB": (10016, "other"),
    "MDC_ECG_RHY_V_TACHY_PAROX": (10032, "ventricular-tachycardia"),
    "MDC_ECG_RHY_V_TACHY_MONO": (10048, "ventricular-tachycardia"),
    "MDC_ECG_RHY_V_TACHY_POLY": (10064, "ventricular-tachycardia"),
    "MDC_ECG_RHY_V_TACHY_TDP": (10080, "ventricular-tachycardia"),
    "MDC_ECG_RHY_PREX": (10096, "pre-excitation"),
    "MDC_ECG_RHY_WPW_UNK": (10112, "pre-excitation"),
    "MDC_ECG_RHY_WPW_A": (10128, "pre-excitation"),
    "MDC_ECG_RHY_WPW_B": (10144, "pre-excitation"),
    "MDC_ECG_RHY_LGL": (10160, "other"),
    "MDC_ECG_RHY_EPADM": (10176, "paced"),
    "MDC_ECG_RHY_EPVDM": (10240, "paced"),
    "MDC_ECG_RHY_EPAVT": (10304, "paced"),
    "MDC_ECG_RHY_ASYSTOLE": (10336, "other"),
    "MDC_ECG_RHY_IRREG": (10352, "other"),
    "MDC_ECG_RHY_LHRV": (10368, "other"),
    "MDC_ECG_RHY_TALT": (10416, "other"),
    "MDC_ECG_RHY_BRADY": (10432, "bradycardia"),
    "MDC_ECG_RHY_CALS": (10448, "test-data"),
}
_BEATS = {
    "MDC_ECG_BEAT_NORMAL": (8208, "other"),
    "MDC_ECG_BEAT_ABNORMAL": (8224, "other"),
    "MDC_ECG_BEAT_DOMINANT": (8240, "other"),
    "MDC_ECG_BEAT_SV_P_C": (8256, "other"),
    "MDC_ECG_BEAT_ATR_P_C": (8272, "other"),
    "MDC_ECG_BEAT_JUNC_P_C": (8288, "other"),
    "MDC_ECG_BEAT_ATR_P_C_ABERR": (8304, "other"),
    "MDC_ECG_BEAT_ATR_PWAVE_BLK": (8320, "other"),
    "MDC_ECG_BEAT_V_P_C": (8336, "premature-ventricular"),
    "MDC_ECG_BEAT_V_P_C_FUSION": (8352, "premature-ventricular"),
    "MDC_ECG_BEAT_V_P_C_RonT": (8368, "premature-ventricular"),
    "MDC_ECG_BEAT_SV_ESC": (8384, "other"),
    "MDC_ECG_BEAT_ATR_ESC": (8400, "other"),
    "MDC_ECG_BEAT_JUNC_ESC": (8416, "other"),
    "MDC_ECG_BEAT_V_ESC": (8432, "other"),
    "MDC_ECG_BEAT_BB_BLK": (8448, "other"),
    "MDC_ECG_BEAT_LBB_BLK_COMP": (8464, "left-bundle-branch-block"),
    "MDC_ECG_BEAT_LBB_BLK_INCOMP": (8480, "other"),
    "MDC_ECG_BEAT_RBB_BLK_COMP": (8496, "right-bundle-branch-block"),
    "MDC_ECG_BEAT_RBB_BLK_INCOMP": (8512, "other"),
    "MDC_ECG_BEAT_BLK_ANT_L_HEMI": (8528, "fascicular-block"),
    "MDC_ECG_BEAT_BLK_POS_L_HEMI": (8544, "fascicular-block"),
    "MDC_ECG_BEAT_BLK_BIFASC": (8560, "bifascicular-block"),
    "MDC_ECG_BEAT_BLK_TRIFASC": (8576, "other"),
    "MDC_ECG_BEAT_BLK_BILAT": (8592, "other"),
    "MDC_ECG_BEAT_BLK_IVCD": (8608, "other"),
    "MDC_ECG_BEAT_PREX": (8624, "pre-excitation"),
    "MDC_ECG_BEAT_WPW_UNK": (8640, "pre-excitation"),
    "MDC_ECG_BEAT_WPW_A": (8656, "pre-excitation"),
    "MDC_ECG_BEAT_WPW_B": (8672, "pre-excitation"),
    "MDC_ECG_BEAT_LGL": (8688, "other"),
    "MDC_ECG_BEAT_PACED": (8704, "paced"),
    "MDC_ECG_BEAT_PACED_FUS": (8720, "paced"),
    "MDC_ECG_BEAT_UNKNOWN": (8736, "other"),
    "MDC_ECG_BEAT_LEARN": (8752, "other"),
}
_SPIKES = {
    "MDC_ECG_WAVP_PACE": (4096, "paced"),
    "MDC_ECG_WAVP_PACE_ATR": (4352, "paced"),
    "MDC_ECG_WAVP_PACE_ATR_R": (4608, "paced"),
    "MDC_ECG_WAVP_PACE_ATR_L": (4864, "paced"),
    "MDC_ECG_WAVP_PACE_V": (5120, "paced"),
    "MDC_ECG_WAVP_PACE_V_R": (5376, "paced"),
    "MDC_ECG_WAVP_PACE_V_L": (5632, "paced"),
    "MDC_ECG_WAVP_PACE_EXT": (5888, "paced"),
    "MDC_ECG_WAVP_ATPACE": (6144, "paced"),
    "MDC_ECG_WAVP_ATPACE_ATR": (6400, "paced"),
    "MDC_ECG_WAVP_ATPACE_V": (6656, "paced"),
    "MDC_ECG_WAVP_ATPACE_EXT": (6912, "paced"),
}
#: What one beat is enough for: a beat of another kind says nothing of the whole recording.
OF_ONE_BEAT = frozenset({"paced", "premature-ventricular"})
_NOISE = {
    "MDC_ECG_NOISE_CLEAN": (11200, "other"),
    "MDC_ECG_NOISE_MODERATE": (11216, "poor-quality"),
    "MDC_ECG_NOISE_SEVERE": (11232, "poor-quality"),
    "MDC_ECG_NOISE_NOSIGNAL": (11248, "poor-quality"),
}
_STEP = 16  #: between two base terms; the numbers between them are discriminators
_FIRST_BEAT = 8208  #: below, pacing spikes are 256 apart
_PACING_RHYTHMS = range(10176, 10336)  #: three terms that are 64 apart, with their discriminators

#: Reference id -> concept.
MDC: Mapping[str, str] = {
    name: concept for table in (_RHYTHMS, _BEATS, _SPIKES, _NOISE) for name, (_, concept) in table.items()
}
_BY_NUMBER = {number: concept for table in (_RHYTHMS, _BEATS, _SPIKES, _NOISE) for number, concept in table.values()}


def concept_of(code: str) -> str | None:
    """The concept of a reference id or a number in either form; None where the tables above do not hold it."""
    if code.startswith("MDC_"):
        return _of_id(code)
    number = _number(code)
    return None if number is None else _of_number(number)


def is_statement(code: str) -> bool:
    """Whether a code is of the terms for rhythm, beats, pacing spikes or noise, known here or not."""
    if code.startswith("MDC_"):
        return code.startswith(_FAMILIES)
    number = _number(code)
    return number is not None and any(number in numbers for numbers in _RANGES)


def is_beat(code: str) -> bool:
    """Whether a code says of what kind a beat is."""
    return code.startswith("MDC_ECG_BEAT") or (_number(code) or 0) in _BEAT_NUMBERS


_FAMILIES = ("MDC_ECG_RHY_", "MDC_ECG_BEAT_", "MDC_ECG_WAVP_", "MDC_ECG_NOISE_")
_BEAT_NUMBERS = range(8192, 9216)
_RANGES = (range(4096, 8192), _BEAT_NUMBERS, range(9216, 10496), range(11200, 11264))


def _number(code: str) -> int | None:
    """The term's number in its partition; None where it is of another partition, or no number."""
    part, colon, number = code.partition(":")
    if colon:
        return int(number) if part == str(_PARTITION) and _whole(number) else None
    return int(code) & 0xFFFF if _whole(code) and int(code) >> 16 == _PARTITION else None


def _whole(written: str) -> bool:
    return written.isascii() and written.isdigit() and len(written) < 10


def _of_id(code_as_written: str) -> str | None:
    code = code_as_written
    while code.count("_") > 2:
        if code in MDC:
            return MDC[code]
        code = code.rpartition("_")[0]
    return "paced" if "_PACED" in code_as_written else None  # a device's own term; never `UNPACED`


def _of_number(number: int) -> str | None:
    if number < _FIRST_BEAT:
        return _BY_NUMBER.get(number & ~0xFF)
    if number in _PACING_RHYTHMS:
        return "paced"
    return _BY_NUMBER.get(number - number % _STEP)
