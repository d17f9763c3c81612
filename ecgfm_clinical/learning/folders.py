"""Where learning keeps its things."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """One folder for everything."""

    root: Path

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def adapted(self) -> Path:
        """Encoders adapted to this site, and what an adaptation needs while it runs."""
        return self.root / "adapted"

    @property
    def cache(self) -> Path:
        """Embeddings."""
        return self.root / "embeddings"

    @property
    def evaluations(self) -> Path:
        return self.root / "evaluations"

    @property
    def drift(self) -> Path:
        return self.root / "drift"
