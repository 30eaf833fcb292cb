"""The manifests of docs/kubernetes are what Kubernetes and KubeRay accept, and fit together.

KUBERAY_CRDS=.../ray-operator/config/crd/bases pytest tests/test_kubernetes.py holds them against
KubeRay's own definitions, of a checkout of it, as well.
"""

import os
import re
import shlex
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml

from raydl.cli.flags import options_of
from raydl.cli.main import app
from raydl.settings.options import option_fields

PAGE = Path(__file__).parent.parent / "docs" / "kubernetes.md"
HERE = PAGE.with_suffix("")
DOCKERFILE = (HERE / "Dockerfile").read_text()
OBJECTS = {
    f"{path.name}:{found['kind']}": found
    for path in sorted(HERE.glob("*.yaml"))
    for found in yaml.safe_load_all(path.read_text())
}

KUBERNETES = "1.30"
"""What is not in this version is in no manifest."""

COUNT = {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def fields(*required, **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


HEAD = {"rayStartParams": TEXTS, "template": fields("spec", spec={}, metadata={}), "labels": TEXTS}
CLUSTER = fields(
    "rayVersion", "headGroupSpec", "workerGroupSpecs", "authOptions",
    rayVersion={"type": "string"},
    authOptions=fields("mode", mode={"const": "token"}, secretName={"type": "string"}),
    headGroupSpec=fields("template", **HEAD),
    workerGroupSpecs={
        "type": "array",
        "items": fields(
            # Without the autoscaler KubeRay wants both bounds.
            "groupName", "replicas", "minReplicas", "maxReplicas", "template",
            groupName={"type": "string"},
            replicas=COUNT, minReplicas=COUNT, maxReplicas=COUNT, **HEAD,
        ),
    },
)  # fmt: skip
JOB = {
    **fields(
        "entrypoint",
        entrypoint={"type": "string"},
        clusterSelector=fields("ray.io/cluster", **{"ray.io/cluster": {"type": "string"}}),
        rayClusterSpec=CLUSTER,
        backoffLimit=COUNT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
    ),
    "oneOf": [
        {"required": ["rayClusterSpec"]},
        {
            "required": ["clusterSelector"],
            # KubeRay tries again with a new cluster, and deletes none that it did not make.
            "not": {"anyOf": [{"required": [name]} for name in
                              ("backoffLimit", "shutdownAfterJobFinishes")]},
        },
    ],
}  # fmt: skip
SPECS = {"RayCluster": CLUSTER, "RayJob": JOB}
"""Of KubeRay's API what the manifests use, with what its operator refuses; since 1.5.1, which
brought authOptions."""


CLUSTERS = {
    key: found["spec"].get("rayClusterSpec", found["spec"])
    for key, found in OBJECTS.items()
    if found["kind"] in SPECS and "clusterSelector" not in found["spec"]
}


def groups(cluster):
    """Those of the head and of the workers."""
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def meant_by(job):
    """The clusters that it may run on."""
    if own := job["spec"].get("rayClusterSpec"):
        return [own]
    name = job["spec"]["clusterSelector"]["ray.io/cluster"]
    return [c for key, c in CLUSTERS.items() if OBJECTS[key]["metadata"]["name"] == name]


def objects(*kinds):
    return pytest.mark.parametrize(
        "found", [pytest.param(o, id=key) for key, o in OBJECTS.items() if o["kind"] in kinds]
    )


clusters = pytest.mark.parametrize(
    "cluster", [pytest.param(cluster, id=key) for key, cluster in CLUSTERS.items()]
)


@objects("PersistentVolumeClaim")
def test_kubernetes_accepts_it(found):
    kubernetes_validate.validate(found, KUBERNETES, strict=True)


@clusters
def test_kubernetes_accepts_its_pods(cluster):
    for group in groups(cluster):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "template": group["template"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@objects(*SPECS)
def test_kuberay_accepts_it(found):
    assert found["apiVersion"] == "ray.io/v1"
    assert set(found) == {"apiVersion", "kind", "metadata", "spec"}
    jsonschema.validate(found["spec"], SPECS[found["kind"]])
    # It gives its name to a Service: a DNS label, with some room behind it.
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", found["metadata"]["name"])


def test_every_object_is_of_a_kind_that_is_looked_at():
    assert {o["kind"] for o in OBJECTS.values()} == {"PersistentVolumeClaim", *SPECS}


def closed(schema):
    """A schema of Kubernetes' in which what is not named is an error."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("type", None)
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made:
        made["additionalProperties"] = bool(made.get("x-kubernetes-preserve-unknown-fields"))
    return made


@pytest.mark.skipif("KUBERAY_CRDS" not in os.environ, reason="KUBERAY_CRDS names no directory")
@objects(*SPECS)
def test_kuberays_own_definition_accepts_it(found):
    path = Path(os.environ["KUBERAY_CRDS"], f"ray.io_{found['kind'].lower()}s.yaml")
    definition = yaml.load(path.read_text(), yaml.CSafeLoader)
    version = next(v for v in definition["spec"]["versions"] if v["name"] == "v1")
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"required": ["name"]}
    jsonschema.validate(found, closed(schema))


@clusters
def test_every_pod_has_the_same_ray_and_the_head_has_raydl(cluster):
    (base,) = re.findall(r"^FROM (\S+)$", DOCKERFILE, re.M)
    (ours,) = re.findall(r"docker build .* -t (\S+) \.$", DOCKERFILE, re.M)
    assert base.startswith(f"rayproject/ray:{cluster['rayVersion']}-py")
    assert ours.endswith(f"/raydl:{cluster['rayVersion']}")
    assert f"docker push {ours}" in PAGE.read_text()
    head, *workers = [group["template"]["spec"] for group in groups(cluster)]
    assert [c["image"] for c in head["containers"]] == [ours]
    for pod in workers:
        assert {c["image"] for c in pod["containers"] + pod.get("initContainers", [])} == {base}


@clusters
def test_nothing_runs_as_root_but_what_gives_a_directory_away(cluster):
    assert "USER" not in re.findall(r"^[A-Z]+", DOCKERFILE, re.M)  # it stays that of FROM
    for group in groups(cluster):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert all("securityContext" not in container for container in pod["containers"])
        assert all(first["command"][0] == "chown" for first in pod.get("initContainers", ()))


@clusters
def test_what_is_mounted_is_there(cluster):
    claims = {o["metadata"]["name"] for o in OBJECTS.values() if o["kind"].endswith("Claim")}
    for group in groups(cluster):
        pod = group["template"]["spec"]
        containers = pod["containers"] + pod.get("initContainers", [])
        mounted = {mount["name"] for c in containers for mount in c.get("volumeMounts", ())}
        volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
        assert mounted == set(volumes)
        for volume in volumes.values():
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in (None, *claims)


def parsed(line):
    """The options and the other arguments of a `raydl fetch` that raydl's command line accepts."""
    name, *args = shlex.split(line)
    assert name == "raydl"
    group = typer.main.get_command(app)
    command, *rest = args
    with group.commands[command].make_context(command, rest) as context:
        given = context.params
    flags = {key: value for key in option_fields() if (value := given.pop(key, None))}
    return options_of(flags), given


@objects("RayJob")
def test_the_command_line_accepts_what_a_job_runs_and_the_place_is_on_a_volume(found):
    options, given = parsed(found["spec"]["entrypoint"])
    (url,) = given["urls"]
    assert meant_by(found)
    for cluster in meant_by(found):
        chosen = {
            "here": groups(cluster)[:1],
            "shared": groups(cluster),
            "every-node": [
                group
                for group in groups(cluster)
                if set(options.nodes) <= group.get("labels", {}).items()
            ],
        }[options.to]
        assert chosen
        for group in chosen:
            (pod,) = group["template"]["spec"]["containers"]
            variables = {each["name"]: each.get("value") for each in pod.get("env", ())}
            place = variables["HF_HOME"] if url.startswith("hf://") else given["output"]
            assert any(place.startswith(f"{m['mountPath']}/") for m in pod["volumeMounts"])


@pytest.mark.parametrize("key", ["nodes.yaml:RayCluster", "nodes-hostpath.yaml:RayCluster"])
def test_a_models_cache_has_one_path_for_all(key):
    """raydl asks the head for it, and writes there on every node."""
    pods = [group["template"]["spec"]["containers"][0] for group in groups(CLUSTERS[key])]
    found = {each["value"] for pod in pods for each in pod["env"] if each["name"] == "HF_HOME"}
    assert len(found) == 1


def test_the_page_names_every_file_and_its_commands_are_accepted():
    text = PAGE.read_text()
    linked = set(re.findall(r"\]\(kubernetes/([^)#]+)\)", text))
    assert linked == {path.name for path in HERE.iterdir()}
    applied = set(re.findall(r"kubectl \S+ -f docs/kubernetes/(\S+)", text))
    assert applied == {path.name for path in HERE.glob("*.yaml")}
    for line in re.findall(r"^(?:kubectl exec .* -- )?(raydl fetch .*?)(?:\s+#.*)?$", text, re.M):
        parsed(line)
