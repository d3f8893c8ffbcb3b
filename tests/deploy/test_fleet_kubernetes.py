"""The fleet's Kubernetes objects, as kustomize makes them of the overlay and the one instance."""

from datetime import timedelta
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from app.config import Settings
from tests.commands.environment import ISSUER, POOL_ID
from tests.deploy.conftest import Load
from tests.deploy.dockerfile import ROOT, Dockerfile
from tests.deploy.programs import Manifests, kustomize

FOLDER = ROOT / "deploy/kubernetes/fleet"
FILLED_IN = {
    "AUTHING_USER_POOL_ID": POOL_ID,
    "SESSION_ISSUER": ISSUER,
    "STORE_URL": "redis://redis.acme.test",
}


@pytest.fixture(scope="module")
def built() -> Manifests:
    return kustomize(FOLDER)


@pytest.fixture(scope="module")
def fleet_pod(built: Manifests) -> dict[str, Any]:
    return dict(built["Deployment"]["spec"]["template"]["spec"])


@pytest.fixture
def settings(built: Manifests, load: Load) -> Settings:
    """What a pod makes of the ConfigMap, once the required ones are filled in."""
    return load(Settings, {**built["ConfigMap"]["data"], **FILLED_IN})


def test_kustomize_names_every_file_and_the_fleet_every_empty_setting(
    plain_settings: dict[str, str],
) -> None:
    text = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    (generated,) = told["configMapGenerator"]
    patches = [patch["path"] for patch in told["patches"]]
    files = {*told["resources"], *generated["envs"], *patches, "kustomization.yaml"}

    assert files - {"../base"} == {file.name for file in FOLDER.iterdir()}
    required = {name for name, value in plain_settings.items() if not value}
    assert required <= dotenv_values(FOLDER / "settings.env").keys()


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


def test_a_pod_reaches_dns_authing_and_redis_only(built: Manifests, manifests: Manifests) -> None:
    policy = built["NetworkPolicy"]["spec"]

    assert policy["ingress"] == manifests["NetworkPolicy"]["spec"]["ingress"]
    assert {p["port"] for rule in policy["egress"] for p in rule["ports"]} == {53, 443, 6379}
