"""Overlays outside the repository, and all manifests as Kubernetes and a policy linter see them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import app
from tests.deploy.dockerfile import ROOT
from tests.deploy.programs import Manifests, kustomize, run

FOLDER = ROOT / "deploy/kubernetes"
EXAMPLE = FOLDER / "example/kustomization.yaml"
ADDRESS = "https://git.example.com/ticketgate.git"
VERSIONS = ("1.33", "1.35", "1.37")
PUBLIC = {"/v1", "/.well-known", "/oauth2", "/webhooks/authing"}
COMPONENTS = {"PodMonitor": "pod-monitor", "Ingress": "ingress"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a git repository with this folder, tagged with the current version."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(FOLDER, folder / "deploy/kubernetes")
    author = ["-c", "user.name=A", "-c", "user.email=a@acme.test"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "All"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    subprocess.run(["git", "tag", f"v{app.__version__}"], cwd=folder, check=True)
    return f"file://{folder}/.git"


@pytest.fixture(scope="module")
def overlay(repository: str, tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """The example, alone in a folder elsewhere. Its base comes from the repository's tag."""
    folder = tmp_path_factory.mktemp("elsewhere")
    text = EXAMPLE.read_text("utf-8")
    (folder / EXAMPLE.name).write_text(text.replace(ADDRESS, repository))
    return kustomize(folder)


@pytest.fixture(scope="module")
def all_manifests(overlay: Manifests, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the base, the fleet and the example, one file each."""
    folder = tmp_path_factory.mktemp("manifests")
    for name in ("base", "fleet"):
        objects = kustomize(FOLDER / name).values()
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(objects))
    (folder / "example.yaml").write_text(yaml.safe_dump_all(overlay.values()))
    return folder


def test_the_example_changes_everything_an_operator_has_to(overlay: Manifests) -> None:
    told = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    (image,), (generated,) = told["images"], told["configMapGenerator"]
    settings = dict(pair.split("=") for pair in generated["literals"])
    deployment, config = overlay["Deployment"]["spec"], overlay["ConfigMap"]
    (container,) = deployment["template"]["spec"]["containers"]
    (rule,), (tls,) = overlay["Ingress"]["spec"]["rules"], overlay["Ingress"]["spec"]["tls"]

    assert all(part["metadata"].get("namespace", "login") == "login" for part in overlay.values())
    assert overlay["Namespace"]["metadata"]["name"] == "login"
    assert container["image"] == f"{image['newName']}:{image['newTag']}"
    assert config["data"].items() > settings.items()
    assert config["metadata"]["name"] == container["envFrom"][0]["configMapRef"]["name"]
    assert f"https://{rule['host']}" == settings["SESSION_ISSUER"]
    assert tls["hosts"] == [rule["host"]]


def test_every_version_in_the_example_is_the_current_one() -> None:
    told = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    references = [*told["resources"], *told["components"]]

    assert {address.partition("?ref=")[2] for address in references} == {f"v{app.__version__}"}
    assert told["images"][0]["newTag"] == app.__version__


def test_the_ingress_has_only_the_paths_that_apps_verifiers_and_authing_need(
    overlay: Manifests,
) -> None:
    (rule,) = overlay["Ingress"]["spec"]["rules"]
    (port,) = overlay["Service"]["spec"]["ports"]
    backend = {"name": overlay["Service"]["metadata"]["name"], "port": {"name": port["name"]}}

    assert {path["path"] for path in rule["http"]["paths"]} == PUBLIC
    assert all(path["backend"] == {"service": backend} for path in rule["http"]["paths"])


def test_the_autoscaler_counts_cores_and_alone_sets_the_number_of_pods(overlay: Manifests) -> None:
    scaler, deployment = overlay["HorizontalPodAutoscaler"]["spec"], overlay["Deployment"]
    (metric,) = scaler["metrics"]
    target = scaler["scaleTargetRef"]

    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]
    assert metric["resource"]["target"] == {"type": "AverageValue", "averageValue": "600m"}


def test_prometheus_finds_the_pods_and_their_port(overlay: Manifests) -> None:
    monitor = overlay["PodMonitor"]["spec"]
    template = overlay["Deployment"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    (endpoint,) = monitor["podMetricsEndpoints"]

    assert monitor["selector"]["matchLabels"] == template["metadata"]["labels"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}


@pytest.mark.parametrize(("kind", "component"), COMPONENTS.items())
def test_a_component_fits_one_instance_too(tmp_path: Path, kind: str, component: str) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    wanted = {"resources": ["../base"], "components": [f"../components/{component}"]}
    (tmp_path / "kubernetes/mine").mkdir()
    (tmp_path / "kubernetes/mine/kustomization.yaml").write_text(yaml.safe_dump(wanted))

    assert kind in kustomize(tmp_path / "kubernetes/mine")


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(all_manifests: Path, version: str) -> None:
    files = sorted(all_manifests.iterdir())

    checked = run("kubernetes-validate", "--strict", "-k", f"{version}.0", *files)

    doubts = [line for line in checked.stdout.splitlines() if not line.startswith("INFO")]
    assert checked.returncode == 0, checked.stdout
    assert all("PodMonitor" in line for line in doubts)  # the operator's own kind


@pytest.mark.long
def test_the_policy_linter_has_no_objection(all_manifests: Path) -> None:
    config = FOLDER / ".checkov.yaml"
    options = ("--quiet", "--compact", "--skip-download", "--framework", "kubernetes")

    checked = run("checkov", *options, "--config-file", config, "--directory", all_manifests)

    assert "Failed checks: 0" in checked.stdout, checked.stdout
    assert checked.returncode == 0


def test_every_rule_of_the_policy_linter_that_is_left_out_has_a_reason() -> None:
    rules = re.findall(r"CKV\w+.*", (FOLDER / ".checkov.yaml").read_text("utf-8"))

    assert rules
    assert [rule for rule in rules if " # " not in rule] == []
