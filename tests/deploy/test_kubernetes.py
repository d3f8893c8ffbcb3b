"""The Kubernetes manifests: what they promise each other, the image and the service."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import app
from app.api.routes import health
from app.config import SECRETS_DIR, Settings
from app.errors import StartupError
from tests.commands.environment import ISSUER, POOL_ID
from tests.deploy.conftest import Load, Manifests
from tests.deploy.dockerfile import ROOT, Dockerfile

FOLDER = ROOT / "deploy/kubernetes"
FILLED_IN = {"AUTHING_USER_POOL_ID": POOL_ID, "SESSION_ISSUER": ISSUER}


def mounted(container: dict[str, Any], name: str) -> dict[str, Any]:
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == name]
    return dict(mount)


def volume(pod: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [volume for volume in pod["volumes"] if volume["name"] == name]
    return dict(found)


# --- the folder ---


def test_kustomize_names_exactly_the_existing_files(manifests: Manifests) -> None:
    kustomization = manifests["Kustomization"]
    (settings,) = kustomization["configMapGenerator"]
    told = {*kustomization["resources"], *settings["envs"], "kustomization.yaml"}

    assert told == {file.name for file in FOLDER.iterdir()}


def test_no_manifest_holds_a_secret(manifests: Manifests) -> None:
    assert "Secret" not in manifests
    assert "secretGenerator" not in manifests["Kustomization"]


def test_the_image_that_runs_is_of_this_version(
    manifests: Manifests, container: dict[str, Any]
) -> None:
    (image,) = manifests["Kustomization"]["images"]

    assert (image["name"], str(image["newTag"])) == (container["image"], app.__version__)


# --- settings and secrets ---


def test_the_settings_work_once_the_required_ones_are_filled_in(
    plain_settings: dict[str, str], load: Load
) -> None:
    settings = load(Settings, {**plain_settings, **FILLED_IN})

    assert settings.authing_user_pool_id == POOL_ID


def test_unfilled_settings_make_the_service_name_the_missing_ones(
    plain_settings: dict[str, str], load: Load
) -> None:
    with pytest.raises(StartupError) as refused:
        load(Settings, plain_settings)

    assert {part.split(":")[0] for part in str(refused.value).split("; ")} == FILLED_IN.keys()


def test_the_settings_come_from_the_generated_config_map(
    manifests: Manifests, container: dict[str, Any]
) -> None:
    (generated,) = manifests["Kustomization"]["configMapGenerator"]

    assert container["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    assert "env" not in container


@pytest.mark.parametrize("name", ["settings", "keys"])
def test_a_secret_is_readable_for_the_service_only_and_follows_changes(
    pod: dict[str, Any], container: dict[str, Any], name: str
) -> None:
    mount = mounted(container, name)

    assert mount["readOnly"] is True
    assert "subPath" not in mount
    assert volume(pod, name)["secret"]["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_the_secrets_are_mounted_where_the_service_reads_them(
    container: dict[str, Any], dockerfile: Dockerfile
) -> None:
    keys = Path(dockerfile.variables["SESSION_KEYS_FILE"])

    assert mounted(container, "settings")["mountPath"] == str(SECRETS_DIR)
    assert mounted(container, "keys")["mountPath"] == str(keys.parent)


# --- what the pod may do ---


def test_the_namespace_refuses_privileged_pods(manifests: Manifests) -> None:
    namespace = manifests["Namespace"]["metadata"]

    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["name"] == manifests["Kustomization"]["namespace"]


def test_the_pod_meets_the_restricted_standard(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    of_pod, of_container = pod["securityContext"], container["securityContext"]

    assert of_pod["runAsNonRoot"] is True
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["allowPrivilegeEscalation"] is False
    assert of_container["readOnlyRootFilesystem"] is True
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert not {"privileged", "runAsUser", "runAsNonRoot", "seccompProfile"} & of_container.keys()
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


def test_the_pod_runs_as_the_user_of_the_image(pod: dict[str, Any], dockerfile: Dockerfile) -> None:
    context = pod["securityContext"]

    assert f"{context['runAsUser']}:{context['runAsGroup']}" == dockerfile.last("USER").text


def test_the_pod_holds_no_credentials_of_the_cluster(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_egress_reaches_dns_and_tls_only(manifests: Manifests) -> None:
    policy = manifests["NetworkPolicy"]["spec"]
    ports = [port for rule in policy["egress"] for port in rule["ports"]]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert {(port["port"], port.get("protocol", "TCP")) for port in ports} == {
        (53, "UDP"),
        (53, "TCP"),
        (443, "TCP"),
    }


# --- how it lives ---


def test_one_process_owns_the_volume(
    manifests: Manifests, pod: dict[str, Any], container: dict[str, Any], dockerfile: Dockerfile
) -> None:
    deployment = manifests["Deployment"]["spec"]
    claim = manifests["PersistentVolumeClaim"]["metadata"]["name"]

    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert volume(pod, "data")["persistentVolumeClaim"] == {"claimName": claim}
    assert mounted(container, "data")["mountPath"] == dockerfile.last("VOLUME").text


def test_the_probes_use_existing_routes(container: dict[str, Any]) -> None:
    served = {getattr(route, "path", None) for route in health.router.routes}
    probes = {
        name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")
    }

    assert probes == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert set(probes.values()) <= served


def test_every_port_leads_to_the_service(
    manifests: Manifests, container: dict[str, Any], plain_settings: dict[str, str], load: Load
) -> None:
    (port,) = container["ports"]
    (service,) = manifests["Service"]["spec"]["ports"]
    (allowed,) = manifests["NetworkPolicy"]["spec"]["ingress"]
    probes = [container[name]["httpGet"]["port"] for name in container if name.endswith("Probe")]

    assert port["containerPort"] == load(Settings, {**plain_settings, **FILLED_IN}).port
    assert {service["targetPort"], *probes} == {port["name"]}
    assert allowed["ports"] == [{"port": port["containerPort"]}]


def test_every_selector_matches_the_pod(manifests: Manifests) -> None:
    deployment = manifests["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]

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


def test_memory_is_bounded(container: dict[str, Any]) -> None:
    assert container["resources"]["limits"]["memory"]
