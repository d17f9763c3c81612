"""The small bundle that ships with the network: it shows the path from ECG to result and is NOT FOR CLINICAL USE."""

from pathlib import Path

DEMO = "demo"  #: the name by which a bundle's folder is asked for


def demo_bundle() -> Path:
    """Its folder; what made it and how well it does stand in its CARD.md."""
    return Path(__file__).parent / "demo_bundle"


def bundle_folder(path: str | Path) -> Path:
    """The folder that `path` names: the text `demo` is the demo bundle,
    anything else a path (`Path("demo")` as well).
    """
    return demo_bundle() if path == DEMO else Path(path)
