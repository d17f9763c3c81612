"""Builds the documents as a site: `sphinx-build -W -c docs . OUT`, from the repository's root.

Each document stays where its code is: the source folder is the whole repository, of which only the documents are read.
"""

from typing import Any

project = "ecgfm-clinical"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["**.md"]
exclude_patterns = [".*", "**/node_modules", "**/.*", "build", "dist"]

myst_heading_anchors = 4  # the same anchors as on GitHub, so that one link serves both
html_theme = "alabaster"
html_theme_options = {"page_width": "1200px", "description": "Hospital ECGs scored with ECG-FM"}
html_copy_source = False

#: Caption -> documents, in the order in which their readers need them.
NAVIGATION = {
    "Start": ["README"],
    "Operating": [
        "deploy/RUNBOOK",
        "deploy/RELIABILITY",
        "deploy/LIMITS",
        "deploy/CAMPAIGNS",
        "deploy/BENCHMARKS",
        "CHANGELOG",
    ],
    "Connecting": ["connectors/CONFORMANCE", "connectors/LIFECYCLE", "connectors/BENCHMARKS"],
    "Reading ECGs": ["docs/reading-an-ecg"],
    "Research": [
        "docs/api",
        "docs/notebooks/README",
        "docs/first-head",
        "model/MODEL_CARD",
        "model/ONNX",
        "model/HEADS",
        "model/DATASETS",
        "model/RECIPES",
        "model/recipes/paper/README",
        "model/recipes/paper/interpretation",
        "model/recipes/paper/reduced-lvef",
        "model/recipes/paper/abnormal-troponin",
        "model/BENCHMARKS",
        "model/ecgfm/demo_bundle/CARD",
        "ecgfm_clinical/shipped/data/README",
        "tests/data/reference/README",
    ],
    "Contributing": ["CONTRIBUTING"],
}


def _add_navigation(_app: Any, document: str, source: list[str]) -> None:
    """The side bar's contents: directives of the generator, which the page itself is spared."""
    if document == root_doc:
        for caption, documents in NAVIGATION.items():
            entries = "\n".join(f"/{name}" for name in documents)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _add_navigation)
