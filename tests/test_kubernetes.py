"""The manifests for Kubernetes: each renders, is valid, and runs what this program has."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecgfm_clinical.cli.operate import RoleChoice
from ecgfm_clinical.settings import read_settings
from tests.helpers.json_schemas import json_schemas

pytestmark = pytest.mark.slow(5)

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
VERSION = "1.30.0"
ROLES = {"connect", "score", "report"}
TEXT: dict[str, Any] = {"type": "string"}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


#: What we use of resources that other programs define, as their definitions have it (KEDA 2, Prometheus Operator).
CUSTOM: dict[str, dict[str, Any]] = {
    "ScaledObject": _object(
        ("scaleTargetRef", "triggers"),
        scaleTargetRef=_object(("name",), name=TEXT),
        pollingInterval={"type": "integer", "minimum": 1},
        cooldownPeriod={"type": "integer", "minimum": 0},
        minReplicaCount={"type": "integer", "minimum": 0},
        maxReplicaCount={"type": "integer", "minimum": 1},
        triggers={
            "type": "array",
            "items": _object(
                ("type", "metadata"),
                type={"const": "postgresql"},
                metadata={"type": "object", "additionalProperties": TEXT, "required": ["query", "targetQueryValue"]},
                authenticationRef=_object(("name",), name=TEXT),
            ),
        },
    ),
    "TriggerAuthentication": _object(
        ("secretTargetRef",),
        secretTargetRef={
            "type": "array",
            "items": _object(("parameter", "name", "key"), parameter=TEXT, name=TEXT, key=TEXT),
        },
    ),
    "ServiceMonitor": _object(
        ("selector", "endpoints"),
        selector={"type": "object"},
        endpoints={"type": "array", "items": _object(("port",), port=TEXT, path=TEXT, interval=TEXT)},
    ),
}


def files() -> list[Path]:
    return sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")


def documents(text: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(text) if one]


def rendered(overlay: str) -> list[dict[str, Any]]:
    """Everything of an overlay, by whichever renderer this machine has."""
    for program in (("kustomize", "build"), ("kubectl", "kustomize")):
        if shutil.which(program[0]):
            words = [*program, str(FOLDER / "overlays" / overlay)]
            return documents(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    pytest.skip("neither kustomize nor kubectl is installed")


def check(document: dict[str, Any]) -> None:
    jsonschema = json_schemas()
    import kubernetes_validate  # loads for long, which workers without these tests need not wait

    if (schema := CUSTOM.get(document["kind"])) is not None:
        jsonschema.validate(document["spec"], schema)
    else:
        kubernetes_validate.validate(document, VERSION, strict=True)


def pods(found: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in found:
        if one["kind"] in ("Deployment", "Job", "StatefulSet"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_every_manifest_is_valid(path: Path) -> None:
    for document in documents(path.read_text()):
        check(document)


@pytest.mark.peer
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_renders_into_valid_manifests(overlay: str) -> None:
    found = rendered(overlay)
    for document in found:
        check(document)
    names = dict(pods(found))
    assert ROLES | {"migrate"} <= names.keys()
    assert all(one["metadata"]["namespace"] == "ecgfm" for one in found)
    for name, spec in names.items():
        for container in spec["containers"]:
            assert ":" in container["image"], name
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        volumes = {one["name"] for one in spec["volumes"]} | {"data"}
        assert {one["name"] for container in spec["containers"] for one in container["volumeMounts"]} <= volumes


@pytest.mark.peer
def test_an_image_with_a_gpu_takes_the_place_of_the_one_without() -> None:
    (score,) = (spec for name, spec in pods(rendered("gpu")) if name == "score")
    (container,) = score["containers"]
    assert container["image"].endswith(":gpu")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_the_pods_run_commands_and_probes_that_this_program_has() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for path in sorted((FOLDER / "base").glob("*.yaml")):
        for name, spec in pods([one for one in documents(path.read_text()) if "spec" in one]):
            (container,) = spec["containers"]
            target = container["image"].removeprefix("ecgfm-clinical-")
            assert re.search(rf"^FROM runtime AS {target}$", dockerfile, flags=re.MULTILINE), name
            assert f"useradd --system --uid {spec['securityContext']['runAsUser']}" in dockerfile
            if container["args"][0] == "run":
                assert container["args"][2] in {role.value for role in RoleChoice}
                probes = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
                assert probes == {"/healthz", "/readyz"}
            else:
                assert container["args"] == ["migrate"]


def test_the_settings_of_the_pods_are_ours_and_their_ports_are_the_services(tmp_path: Path) -> None:
    text = (FOLDER / "base" / "settings.toml").read_text()
    secret = tmp_path / "database-password"
    secret.write_text("x")
    path = tmp_path / "settings.toml"
    path.write_text(text.replace("/etc/ecgfm/secrets/database-password", secret.as_posix()))
    settings = read_settings(path)
    ports = {listener.name: listener.port for listener in settings.listeners.all}
    (service,) = (one for one in documents((FOLDER / "base" / "connect.yaml").read_text()) if one["kind"] == "Service")
    assert {one["name"]: one["port"] for one in service["spec"]["ports"]} == ports
    assert settings.monitoring.port == 9464
    assert tomllib.loads(text)["store"]["url"].startswith("postgresql+psycopg://ecgfm@database:5432/")
