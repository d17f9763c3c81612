"""The files for a Ray cluster: valid where they are read, and running what this program has."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from ecgfm_clinical.cli import app
from tests.helpers.json_schemas import json_schemas

pytestmark = pytest.mark.slow(3)

FOLDER = Path(__file__).parents[1] / "deploy" / "ray"
JOB: dict[str, Any] = yaml.safe_load((FOLDER / "rayjob.yaml").read_text(encoding="utf-8"))
CLUSTER: dict[str, Any] = yaml.safe_load((FOLDER / "cluster.yaml").read_text(encoding="utf-8"))
GROUP: dict[str, Any] = {
    "type": "object",
    "required": ["rayStartParams", "template"],
    "properties": {
        "groupName": {"type": "string"},
        "replicas": {"type": "integer"},
        "minReplicas": {"type": "integer"},
        "maxReplicas": {"type": "integer"},
        "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
        "template": {"type": "object", "required": ["spec"], "additionalProperties": False, "properties": {"spec": {}}},
    },
    "additionalProperties": False,
}
#: What we use of a RayJob, as KubeRay defines it (ray.io/v1).
RAY_JOB: dict[str, Any] = {
    "type": "object",
    "required": ["entrypoint", "rayClusterSpec"],
    "properties": {
        "entrypoint": {"type": "string"},
        "shutdownAfterJobFinishes": {"type": "boolean"},
        "ttlSecondsAfterFinished": {"type": "integer"},
        "backoffLimit": {"type": "integer"},
        "rayClusterSpec": {
            "type": "object",
            "required": ["headGroupSpec", "workerGroupSpecs"],
            "properties": {"headGroupSpec": GROUP, "workerGroupSpecs": {"type": "array", "items": GROUP}},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def groups() -> list[dict[str, Any]]:
    spec = JOB["spec"]["rayClusterSpec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def test_the_job_is_one_that_kuberay_takes() -> None:
    jsonschema = json_schemas()
    import kubernetes_validate  # loads for long, which workers without these tests need not wait

    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    jsonschema.validate(JOB["spec"], RAY_JOB)
    for group in groups():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node"}, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, "1.30.0", strict=True)


def test_every_node_sees_the_archive_and_the_model_under_the_same_paths() -> None:
    words = shlex.split(JOB["spec"]["entrypoint"])
    for group in groups():
        (container,) = group["template"]["spec"]["containers"]
        mounted = {one["mountPath"]: one.get("readOnly", False) for one in container["volumeMounts"]}
        assert mounted == {"/archive": True, "/models": True, "/results": False}
        volumes = {one["name"] for one in group["template"]["spec"]["volumes"]}
        assert volumes == {one["name"] for one in container["volumeMounts"]}
    named = [word for word in words if word.startswith("/")]
    assert {Path("/", *Path(word).parts[1:2]) for word in named} == {
        Path("/archive"),
        Path("/models"),
        Path("/results"),
    }


@pytest.mark.parametrize("text", [JOB["spec"]["entrypoint"], (FOLDER / "cluster.yaml").read_text(encoding="utf-8")])
def test_its_command_is_one_of_ours(text: str) -> None:
    found = re.search(r"ecgfm-clinical (backfill run [^\"\n]*)", text)
    assert found is not None
    command = typer.main.get_command(app).commands["backfill"].commands["run"]  # type: ignore[attr-defined]
    known = {name for parameter in command.params for name in parameter.opts}
    options = {word for word in shlex.split(found[1]) if word.startswith("--")}
    assert {"--out", "--ray"} <= options <= known


def test_the_cluster_file_is_one_that_ray_takes() -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed (optional extra `ray`)")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))
    json_schemas().validate(CLUSTER, schema)
