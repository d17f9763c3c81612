"""A model that may become live."""

from datetime import UTC, datetime

from ecgfm_clinical.learning import governance
from ecgfm_clinical.staging.model_records import HeadVerdict, ModelRow
from tests.helpers.installation import Installation
from tests.helpers.tiny_models import write_tiny_bundle


def add_candidate(site: Installation) -> ModelRow:
    """A second model, judged and passed, beside the live one."""
    registry, now = site.store.models, datetime.now(UTC)
    live = registry.live()
    assert live is not None
    bundle = write_tiny_bundle(site.path.with_name("second"), seed=1)
    row = governance.model_row(bundle, path="second", now=now)
    registry.register(row, now=now, actor="test")
    for head, fingerprint in row.heads.items():
        report = site.path.with_name(f"{head}.html")
        report.write_text(f"<h1>How {head} did</h1><script>alert(1)</script>", encoding="utf-8")
        verdict = HeadVerdict(
            model_id=row.model_id,
            head=head,
            fingerprint=fingerprint,
            champion_id=live.model_id,
            cohort_digest="c" * 64,
            report=str(report),
        )
        registry.judge(verdict, now=now, actor="test")
    return row
