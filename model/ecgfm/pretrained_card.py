"""The card that goes with a bundle to a hub: a header of facts for programs, and what the manifest says for people."""

from collections.abc import Iterator

from ecgfm.checkpoint import Bundle
from ecgfm.cost import cost

CARD = "README.md"
#: A card that lies in a bundle's own folder.
_OWN = "CARD.md"


def pretrained_card(bundle: Bundle, text: str | None, licence: str) -> str:
    """`text` below the header; where it is None, the bundle's own CARD.md, or what its manifest says."""
    own = bundle.path / _OWN
    if text is None:
        text = own.read_text(encoding="utf-8") if own.is_file() else "\n".join(_lines(bundle)) + "\n"
    return "\n".join(_header(bundle, licence)) + "\n\n" + text


def _header(bundle: Bundle, licence: str) -> Iterator[str]:
    yield "---"
    yield f"license: {licence or 'unknown'}"
    yield "library_name: ecgfm"
    yield "tags: [ecg, ecg-fm, 12-lead, safetensors]"
    yield f"model_id: {bundle.model_id}"
    yield f"weights_sha256: {bundle.weights_sha256}"
    yield f"not_for_clinical_use: {str(bundle.demo).lower()}"
    yield "---"


def _lines(bundle: Bundle) -> Iterator[str]:
    yield f"# {bundle.name}, version {bundle.version}\n"
    if bundle.demo:
        yield "**NOT FOR CLINICAL USE.**\n"
    yield f"Model id `{bundle.model_id}`. Input: (12, samples) in mV, prepared as `{bundle.preprocessing}`.\n"
    yield f"{cost(bundle)}.\n"
    yield "## Heads\n"
    for spec in bundle.heads:
        yield f"- **{spec.name}** ({', '.join(spec.labels)}). Positive means: {spec.target}"
        calibrated = "calibrated" if spec.calibration else "raw sigmoids, not calibrated"
        points = ", ".join(f"{label} {value:.4f}" for label, value in spec.operating_points.items())
        yield f"  Probabilities: {calibrated}. Operating points: {points or 'none'}."
    if not bundle.heads:
        yield "None: an encoder for embeddings and for training heads on."
    yield "\n## Where the weights come from\n"
    for name, told in bundle.provenance.origin.items():
        if isinstance(told, str | int | float):
            yield f"- {name.replace('_', ' ')}: {told}"
    for step in bundle.provenance.lineage:
        yield f"- made from {step.name} {step.version} (`{step.model_id}`)"
    yield "\n## Use\n"
    yield f'```python\nfound = ecgfm.from_pretrained("OWNER/NAME", model_id="{bundle.model_id}", download=True)'
    yield "print(found)\nlogits = found.network()(segments)  # (segments, 12, 2500) float32\n```"
