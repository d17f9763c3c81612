"""Words of the store that pages show as they are (`|said`), listed for the catalogues."""

from ecgfm_clinical.wording import N_

#: Where an ECG, a job, a message, a model or a task stands, and what a person decided.
STATES = (
    *(N_("waiting"), N_("running"), N_("done"), N_("scored"), N_("not evaluable"), N_("failed"), N_("held")),
    *(N_("sending"), N_("acknowledged"), N_("set aside"), N_("cancelled"), N_("withdrawn")),
    *(N_("pending"), N_("sent"), N_("in doubt"), N_("corrected"), N_("superseded")),
    *(N_("live"), N_("shadow"), N_("retired"), N_("candidate")),
    *(N_("failing"), N_("hanging")),
    *(N_("released"), N_("rejected"), N_("moot")),
    *(N_("refused"), N_("unreadable"), N_("staged")),
    *(N_("info"), N_("warning"), N_("critical")),
)
#: `WhySetAside`
WHY_SET_ASIDE = (N_("refused by the receiver"), N_("could not be written"), N_("attempts spent"))
#: `pausing.KINDS`
PARTS = (N_("everything"), N_("source"), N_("destination"), N_("head"))
#: `Role.word`
ROLES = (N_("viewer"), N_("operator"), N_("clinical-administrator"), N_("none"))
#: `wording.phrase`
YES_OR_NO = (N_("yes"), N_("no"), N_("none"))
ANSWERS = (N_("positive"), N_("negative"), N_("not evaluable"))
#: Reasons why a label is not evaluable, as the filter offers them (codes of `ecg.evaluability`, with spaces).
REASONS = (
    *(N_("missing lead"), N_("flat lead"), N_("clipped lead"), N_("noise"), N_("amplitude implausible")),
    *(N_("gain implausible"), N_("too short"), N_("too long"), N_("rate out of range"), N_("not simultaneous")),
    *(N_("einthoven violation"), N_("arm leads suspected"), N_("age unknown"), N_("age below range")),
    *(N_("age above range"), N_("paced rhythm"), N_("pacing spikes"), N_("test data")),
)
