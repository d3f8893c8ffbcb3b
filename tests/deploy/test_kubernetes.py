"""The Kubernetes manifests: what they promise each other, the image and the service."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import app
from app.api.routes import public
from app.config import SECRETS_DIR, Settings
from app.errors import StartupError
from tests.commands.environment import ISSUER, POOL_ID
from tests.deploy.conftest import Load
from tests.deploy.dockerfile import ROOT, Dockerfile
from tests.deploy.programs import Manifests

FOLDER = ROOT / "deploy/kubernetes/base"
PROBES = ("startup", "liveness", "readiness")
FILLED_IN = {"AUTHING_USER_POOL_ID": POOL_ID, "SESSION_ISSUER": ISSUER}


def named(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["name"] == name]
    return found


def test_the_folder_is_complete_and_holds_no_secret(
    manifests: Manifests, container: dict[str, Any]
) -> None:
    kustomization = manifests["Kustomization"]
    (settings,) = kustomization["configMapGenerator"]
    told = {*kustomization["resources"], *settings["envs"], "kustomization.yaml"}
    (image,) = kustomization["images"]

    assert told == {file.name for file in FOLDER.iterdir()}
    assert "Secret" not in manifests
    assert "secretGenerator" not in kustomization
    assert (image["name"], str(image["newTag"])) == (container["image"], app.__version__)
    assert container["envFrom"] == [{"configMapRef": {"name": settings["name"]}}]
    assert "env" not in container


def test_unfilled_settings_make_the_service_name_the_missing_ones(
    plain_settings: dict[str, str], load: Load
) -> None:
    with pytest.raises(StartupError) as refused:
        load(Settings, plain_settings)

    assert {part.split(":")[0] for part in str(refused.value).split("; ")} == FILLED_IN.keys()


def test_secrets_are_where_the_service_reads_them_and_follow_changes(
    pod: dict[str, Any], container: dict[str, Any], dockerfile: Dockerfile
) -> None:
    keys = Path(dockerfile.variables["SESSION_KEYS_FILE"]).parent

    for name, folder in (("settings", SECRETS_DIR), ("keys", keys)):
        mount = named(container["volumeMounts"], name)
        assert mount == {"name": name, "mountPath": str(folder), "readOnly": True}  # no subPath
        assert named(pod["volumes"], name)["secret"]["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_the_pod_meets_the_restricted_standard_that_its_namespace_enforces(
    manifests: Manifests, pod: dict[str, Any], container: dict[str, Any], dockerfile: Dockerfile
) -> None:
    namespace = manifests["Namespace"]["metadata"]
    of_pod, of_container = pod["securityContext"], container["securityContext"]

    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["name"] == manifests["Kustomization"]["namespace"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"{of_pod['runAsUser']}:{of_pod['runAsGroup']}" == dockerfile.last("USER").text
    assert of_container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
    assert container["resources"]["limits"]["memory"]


def test_the_pod_holds_no_credentials_of_the_cluster_and_reaches_dns_and_tls_only(
    manifests: Manifests, pod: dict[str, Any]
) -> None:
    policy = manifests["NetworkPolicy"]["spec"]
    ports = [port for rule in policy["egress"] for port in rule["ports"]]

    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    allowed = {(port["port"], port.get("protocol", "TCP")) for port in ports}
    assert allowed == {(53, "UDP"), (53, "TCP"), (443, "TCP")}


def test_one_process_owns_the_volume(
    manifests: Manifests, pod: dict[str, Any], container: dict[str, Any], dockerfile: Dockerfile
) -> None:
    deployment = manifests["Deployment"]["spec"]
    claim = manifests["PersistentVolumeClaim"]["metadata"]["name"]
    mount = named(container["volumeMounts"], "data")

    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert named(pod["volumes"], "data")["persistentVolumeClaim"] == {"claimName": claim}
    assert mount["mountPath"] == dockerfile.last("VOLUME").text


def test_the_probes_use_existing_routes(container: dict[str, Any]) -> None:
    served = {getattr(route, "path", None) for route in public.health.routes}
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in PROBES}

    assert probes == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    assert set(probes.values()) <= served


def test_every_port_and_every_selector_leads_to_the_service(
    manifests: Manifests, container: dict[str, Any], plain_settings: dict[str, str], load: Load
) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (service,) = manifests["Service"]["spec"]["ports"]
    api, metrics = manifests["NetworkPolicy"]["spec"]["ingress"]
    probes = [container[f"{name}Probe"]["httpGet"]["port"] for name in PROBES]
    deployment = manifests["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    settings = load(Settings, {**plain_settings, **FILLED_IN})

    assert ports == {"http": settings.port, "metrics": settings.metrics_port}
    assert {service["targetPort"], *probes} == {"http"}
    assert api == {"ports": [{"port": settings.port}]}
    monitoring = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    assert metrics["from"] == [{"namespaceSelector": monitoring}]
    assert metrics["ports"] == [{"port": settings.metrics_port}]
    assert deployment["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels


def test_the_pod_has_time_to_finish(
    pod: dict[str, Any], plain_settings: dict[str, str], load: Load
) -> None:
    grace = timedelta(seconds=pod["terminationGracePeriodSeconds"])

    for plain in (plain_settings, {}):
        settings = load(Settings, {**plain, **FILLED_IN})
        assert grace > settings.drain_delay + settings.shutdown_timeout
