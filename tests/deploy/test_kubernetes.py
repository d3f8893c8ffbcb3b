"""The Kubernetes manifests of one instance and of the fleet, as kustomize makes them."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import app
from app.api.routes import public
from app.config import SECRETS_DIR, Settings
from app.errors import StartupError
from tests.commands.environment import ISSUER, POOL_ID
from tests.deploy.conftest import Dockerfile, Load, Manifests, kustomize, time_to_finish
from tests.support.processes import ROOT

FOLDER = ROOT / "deploy/kubernetes"
REQUIRED = {"AUTHING_USER_POOL_ID": POOL_ID, "SESSION_ISSUER": ISSUER}
"""The settings that an operator fills in. The fleet's STORE_URL is a secret."""


def named(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["name"] == name]
    return found


@pytest.fixture(scope="module", params=["base", "fleet"])
def folder(request: pytest.FixtureRequest) -> Path:
    return FOLDER / str(request.param)


@pytest.fixture(scope="module")
def built(folder: Path) -> Manifests:
    return kustomize(folder)


@pytest.fixture(scope="module")
def pod(built: Manifests) -> dict[str, Any]:
    return dict(built["Deployment"]["spec"]["template"]["spec"])


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


@pytest.fixture
def settings(built: Manifests, load: Load) -> Settings:
    """What a pod makes of the ConfigMap, once the required settings are filled in."""
    return load({**built["ConfigMap"]["data"], **REQUIRED, "STORE_URL": "redis://redis.acme.test"})


# --- one instance and the fleet ---


def test_kustomize_names_every_file_and_no_secret(folder: Path, built: Manifests) -> None:
    told = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    (generated,) = told["configMapGenerator"]
    patches = [patch["path"] for patch in told.get("patches", [])]
    files = {*told["resources"], *generated["envs"], *patches, "kustomization.yaml"}
    assert files - {"../base"} == {file.name for file in folder.iterdir()}
    assert "Secret" not in built


def test_the_image_has_the_current_version(container: dict[str, Any]) -> None:
    assert container["image"] == f"ticketgate:{app.__version__}"


def test_unfilled_settings_make_the_service_name_the_missing_ones(
    built: Manifests, container: dict[str, Any], load: Load
) -> None:
    config = built["ConfigMap"]
    assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
    assert "env" not in container  # no variable hides a secret file
    with pytest.raises(StartupError) as refused:
        load(config["data"])
    assert {part.split(":")[0] for part in str(refused.value).split("; ")} == REQUIRED.keys()


def test_secrets_are_where_the_service_reads_them_and_follow_changes(
    pod: dict[str, Any], container: dict[str, Any], dockerfile: Dockerfile, readme: str
) -> None:
    keys = Path(dockerfile.variables["SESSION_KEYS_FILE"]).parent
    for name, folder in (("settings", SECRETS_DIR), ("keys", keys)):
        mount = named(container["volumeMounts"], name)
        assert mount == {"name": name, "mountPath": str(folder), "readOnly": True}  # no subPath
        assert named(pod["volumes"], name)["secret"]["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    made = set(re.findall(r"create secret generic (\S+)", readme))
    assert made == {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}


def test_the_namespace_enforces_the_restricted_standard(
    built: Manifests, pod: dict[str, Any], dockerfile: Dockerfile
) -> None:
    """The policy linter of `test_kubernetes_overlay.py` checks the rest that it asks for."""
    labels, user = built["Namespace"]["metadata"]["labels"], pod["securityContext"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert f"{user['runAsUser']}:{user['runAsGroup']}" == dockerfile.last("USER")
    assert user["runAsNonRoot"] is True
    assert pod["enableServiceLinks"] is False


def test_a_pod_reaches_dns_authing_and_the_store_only(folder: Path, built: Manifests) -> None:
    policy = built["NetworkPolicy"]["spec"]
    ports = [port for rule in policy["egress"] for port in rule["ports"]]
    allowed = {(port["port"], port.get("protocol", "TCP")) for port in ports}
    store = {(6379, "TCP")} if folder.name == "fleet" else set()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert allowed == {(53, "UDP"), (53, "TCP"), (443, "TCP")} | store


def test_the_probes_use_existing_routes(container: dict[str, Any]) -> None:
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
    assert {"/livez", "/readyz"} <= {getattr(r, "path", None) for r in public.health.routes}
    assert {probe["port"] for probe in probes} == {"http"}


def test_every_port_and_every_selector_leads_to_the_service(
    built: Manifests, container: dict[str, Any], settings: Settings
) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (service,), policy = built["Service"]["spec"]["ports"], built["NetworkPolicy"]["spec"]
    api, metrics = policy["ingress"]
    labels = built["Deployment"]["spec"]["template"]["metadata"]["labels"]
    monitoring = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}

    assert ports == {"http": settings.port, "metrics": settings.metrics_port}
    assert service["targetPort"] == "http"
    assert api == {"ports": [{"port": settings.port}]}
    assert metrics["from"] == [{"namespaceSelector": monitoring}]
    assert metrics["ports"] == [{"port": settings.metrics_port}]
    assert built["Service"]["spec"]["selector"] == labels
    assert policy["podSelector"]["matchLabels"] == labels


def test_a_pod_has_time_to_finish(pod: dict[str, Any], settings: Settings) -> None:
    grace = timedelta(seconds=pod["terminationGracePeriodSeconds"])
    assert grace > max(time_to_finish(settings), time_to_finish())


# --- where they differ ---


def test_one_process_owns_the_volume_of_one_instance(dockerfile: Dockerfile) -> None:
    built = kustomize(FOLDER / "base")
    deployment = built["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    claim = built["PersistentVolumeClaim"]["metadata"]["name"]
    mount = named(pod["containers"][0]["volumeMounts"], "data")

    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert named(pod["volumes"], "data")["persistentVolumeClaim"] == {"claimName": claim}
    assert mount["mountPath"] == dockerfile.last("VOLUME")


def test_the_pods_of_the_fleet_are_spread_replaced_one_by_one_and_store_nothing(
    dockerfile: Dockerfile, load: Load
) -> None:
    built = kustomize(FOLDER / "fleet")
    deployment, budget = built["Deployment"]["spec"], built["PodDisruptionBudget"]["spec"]
    labels, pod = deployment["template"]["metadata"]["labels"], deployment["template"]["spec"]
    spread = pod["topologySpreadConstraints"]
    one_by_one = {"maxUnavailable": 0, "maxSurge": 1}

    assert deployment["replicas"] >= 2
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": one_by_one}
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert {constraint["topologyKey"] for constraint in spread} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    selectors = [each.get("labelSelector", each.get("selector")) for each in (*spread, budget)]
    assert all(selector["matchLabels"] == labels for selector in selectors)
    # Without STORE_URL a pod would keep sessions in a file of its own; here it refuses to start.
    mount = named(pod["containers"][0]["volumeMounts"], "data")
    assert mount == {"name": "data", "mountPath": dockerfile.last("VOLUME"), "readOnly": True}
    assert "PersistentVolumeClaim" not in built
    settings = load({**built["ConfigMap"]["data"], **REQUIRED, "STORE_URL": "redis://a.test"})
    assert settings.drain_delay >= timedelta(seconds=5)
