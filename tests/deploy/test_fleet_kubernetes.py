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

FOLDER = ROOT / "deploy/kubernetes-fleet"
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


@pytest.fixture(scope="module")
def fleet_container(fleet_pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = fleet_pod["containers"]
    return dict(only)


@pytest.fixture
def settings(built: Manifests, load: Load) -> Settings:
    """What a pod makes of the ConfigMap, once the required ones are filled in."""
    return load(Settings, {**built["ConfigMap"]["data"], **FILLED_IN})


def test_kustomize_names_every_file() -> None:
    text = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    (generated,) = told["configMapGenerator"]
    patches = [patch["path"] for patch in told["patches"]]
    files = {*told["resources"], *generated["envs"], *patches, "kustomization.yaml"}

    assert files - {"../kubernetes"} == {file.name for file in FOLDER.iterdir()}


def test_the_fleet_sets_every_setting_of_the_single_instance(
    plain_settings: dict[str, str],
) -> None:
    assert plain_settings.keys() <= dotenv_values(FOLDER / "settings.env").keys()


def test_several_pods_are_replaced_one_by_one(built: Manifests) -> None:
    deployment = built["Deployment"]["spec"]

    assert deployment["replicas"] >= 2
    assert deployment["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }


def test_a_drained_node_takes_one_pod_at_a_time(built: Manifests) -> None:
    budget = built["PodDisruptionBudget"]["spec"]

    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_pods_are_spread(built: Manifests, fleet_pod: dict[str, Any]) -> None:
    spread = fleet_pod["topologySpreadConstraints"]
    labels = built["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert {constraint["topologyKey"] for constraint in spread} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    assert all(constraint["labelSelector"]["matchLabels"] == labels for constraint in spread)


def test_every_selector_means_these_pods(built: Manifests) -> None:
    labels = built["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert built["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert built["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert built["Service"]["spec"]["selector"] == labels


def test_a_pod_cannot_store_anything(
    built: Manifests,
    fleet_pod: dict[str, Any],
    fleet_container: dict[str, Any],
    dockerfile: Dockerfile,
) -> None:
    (mount,) = [m for m in fleet_container["volumeMounts"] if m["name"] == "data"]
    (volume,) = [v for v in fleet_pod["volumes"] if v["name"] == "data"]

    assert "PersistentVolumeClaim" not in built
    assert mount == {"name": "data", "mountPath": dockerfile.last("VOLUME").text, "readOnly": True}
    assert volume.keys() == {"name", "emptyDir"}


def test_a_pod_is_confined_like_the_single_instance(
    fleet_pod: dict[str, Any],
    fleet_container: dict[str, Any],
    pod: dict[str, Any],
    container: dict[str, Any],
) -> None:
    for name in ("securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        assert fleet_pod[name] == pod[name]
    assert fleet_container["securityContext"] == container["securityContext"]


def test_a_pod_has_time_to_finish(fleet_pod: dict[str, Any], settings: Settings) -> None:
    grace = timedelta(seconds=fleet_pod["terminationGracePeriodSeconds"])

    assert settings.drain_delay >= timedelta(seconds=5)
    assert grace > settings.drain_delay + settings.shutdown_timeout


def test_only_the_monitoring_namespace_reaches_the_metrics(
    built: Manifests, fleet_container: dict[str, Any], settings: Settings
) -> None:
    api, metrics = built["NetworkPolicy"]["spec"]["ingress"]
    ports = {port["name"]: port["containerPort"] for port in fleet_container["ports"]}

    assert ports == {"http": settings.port, "metrics": settings.metrics_port}
    assert api["ports"] == [{"port": settings.port}]
    assert metrics["ports"] == [{"port": settings.metrics_port}]
    (watchers,) = metrics["from"]
    labels = watchers["namespaceSelector"]["matchLabels"]
    assert labels == {"kubernetes.io/metadata.name": "monitoring"}


def test_egress_reaches_dns_tls_and_redis_only(built: Manifests) -> None:
    egress = built["NetworkPolicy"]["spec"]["egress"]

    assert {port["port"] for rule in egress for port in rule["ports"]} == {53, 443, 6379}
