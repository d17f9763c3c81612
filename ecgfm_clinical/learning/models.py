"""Which bundle is meant: the live one, one by its folder, a registered one by its name."""

from datetime import datetime
from pathlib import Path

from ecgfm.checkpoint import Bundle
from ecgfm.demo import DEMO, demo_bundle
from ecgfm.errors import EcgFmError
from ecgfm_clinical.bundles import bundle_path
from ecgfm_clinical.errors import ModelError, NotFound
from ecgfm_clinical.learning import governance
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.model_records import ModelRow
from ecgfm_clinical.staging.registry import Registry


def live_model(settings: Settings, registry: Registry, *, now: datetime, actor: str) -> ModelRow:
    """The model that scores; the settings' own is installed where none is live yet. Raises ModelError, GateRefused."""
    bundle = read_bundle(bundle_path(settings))
    registry.install(governance.model_row(bundle, path=settings.model.bundle, now=now), now=now, actor=actor)
    live = registry.live()
    assert live is not None, "the settings' model was installed where there was none"
    return live


def opened(settings: Settings, row: ModelRow) -> Bundle:
    """The bundle of a registered model. Raises ModelError."""
    return governance.open_bundle(row, bundle_path(settings, row.path))


def chosen(settings: Settings, registry: Registry, name: str) -> Bundle:
    """A bundle by its folder, or a registered model by name or id. Raises ModelError, NotFound."""
    if name == DEMO or (Path(name) / "bundle.json").is_file():
        return read_bundle(name)
    try:
        return opened(settings, registry.find(name))
    except NotFound as error:
        raise NotFound(
            f"{name!r} is neither a bundle folder nor a registered model; `ecgfm-clinical model list`"
        ) from error


def read_bundle(path: str | Path) -> Bundle:
    """The bundle in a folder, or the one that ships (`demo`). Raises ModelError."""
    try:
        return Bundle.read(path)
    except EcgFmError as error:
        raise ModelError(str(error)) from error


def registered_path(settings: Settings, bundle: Bundle) -> str:
    """The bundle's folder as model.bundle would name it: relative to the settings where it lies below them."""
    path = bundle.path.resolve()
    if path == demo_bundle().resolve():
        return DEMO
    folder = settings.folder.resolve()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
