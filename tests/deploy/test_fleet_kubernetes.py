"""The fleet's Kubernetes objects, as kustomize makes them of the overlay and the one instance."""

import shutil
import subprocess
from datetime import timedelta
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from app.config import Settings
from tests.commands.environment import ISSUER, POOL_ID
from tests.deploy.conftest import Load, Manifests
from tests.deploy.dockerfile import ROOT, Dockerfile

FOLDER = ROOT / "deploy/kubernetes/fleet"
FILLED_IN = {
    "AUTHING_USER_POOL_ID": POOL_ID,
    "SESSION_ISSUER": ISSUER,
    "STORE_URL": "redis://redis.acme.test",
}
COMMANDS = {"kustomize": ["build"], "kubectl": ["kustomize"]}


@pytest.fixture(scope="module")
def built() -> Manifests:
    program = next((name for name in COMMANDS if shutil.which(name)), None)
    if program is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    command = [program, *COMMANDS[program], str(FOLDER)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    documents = list(yaml.safe_load_all(text))
    by_kind = {document["kind"]: document for document in documents}
    assert len(by_kind) == len(documents)
    return by_kind


@pytest.fixture(scope="module")
def fleet_pod(built: Manifests) -> dict[str, Any]:
    return dict(built["Deployment"]["spec"]["template"]["spec"])


@pytest.fixture
def settings(built: Manifests, load: Load) -> Settings:
    """What a pod makes of the ConfigMap, once the required ones are filled in."""
    return load(Settings, {**built["ConfigMap"]["data"], **FILLED_IN})


def test_kustomize_names_every_file_and_the_fleet_every_setting_of_one_instance(
    plain_settings: dict[str, str],
) -> None:
    text = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    (generated,) = told["configMapGenerator"]
    patches = [patch["path"] for patch in told["patches"]]
    files = {*told["resources"], *generated["envs"], *patches, "kustomization.yaml"}

    assert files - {"../base"} == {file.name for file in FOLDER.iterdir()}
    assert plain_settings.keys() <= dotenv_values(FOLDER / "settings.env").keys()


def test_several_pods_are_spread_and_replaced_one_by_one(
    built: Manifests, fleet_pod: dict[str, Any]
) -> None:
    deployment, budget = built["Deployment"]["spec"], built["PodDisruptionBudget"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    spread = fleet_pod["topologySpreadConstraints"]

    assert deployment["replicas"] >= 2
    one_by_one = {"maxUnavailable": 0, "maxSurge": 1}
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": one_by_one}
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    keys = {constraint["topologyKey"] for constraint in spread}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(constraint["labelSelector"]["matchLabels"] == labels for constraint in spread)
    assert budget["selector"]["matchLabels"] == labels
    assert built["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert built["Service"]["spec"]["selector"] == labels


def test_a_pod_is_confined_like_the_single_instance_and_cannot_store_anything(
    built: Manifests, fleet_pod: dict[str, Any], pod: dict[str, Any], dockerfile: Dockerfile
) -> None:
    (container,), (single,) = fleet_pod["containers"], pod["containers"]
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == "data"]
    (volume,) = [v for v in fleet_pod["volumes"] if v["name"] == "data"]

    for name in ("securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        assert fleet_pod[name] == pod[name]
    assert container["securityContext"] == single["securityContext"]
    assert "PersistentVolumeClaim" not in built
    assert mount == {"name": "data", "mountPath": dockerfile.last("VOLUME").text, "readOnly": True}
    assert volume.keys() == {"name", "emptyDir"}


def test_a_pod_has_time_to_finish(fleet_pod: dict[str, Any], settings: Settings) -> None:
    grace = timedelta(seconds=fleet_pod["terminationGracePeriodSeconds"])

    assert settings.drain_delay >= timedelta(seconds=5)
    assert grace > settings.drain_delay + settings.shutdown_timeout


def test_only_the_monitoring_namespace_reaches_the_metrics(
    built: Manifests, fleet_pod: dict[str, Any], settings: Settings
) -> None:
    policy = built["NetworkPolicy"]["spec"]
    api, metrics = policy["ingress"]
    (container,) = fleet_pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert ports == {"http": settings.port, "metrics": settings.metrics_port}
    assert api["ports"] == [{"port": settings.port}]
    assert metrics["ports"] == [{"port": settings.metrics_port}]
    monitoring = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    assert metrics["from"] == [{"namespaceSelector": monitoring}]
    assert {p["port"] for rule in policy["egress"] for p in rule["ports"]} == {53, 443, 6379}
