"""Overlays outside the repository, and all manifests as Kubernetes and a policy linter see them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import app
from tests.deploy.conftest import Manifests, kustomize, replaced
from tests.support.processes import ROOT
from tests.support.programs import run

FOLDER = ROOT / "deploy/kubernetes"
EXAMPLE = FOLDER / "example/kustomization.yaml"


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """The example, alone in a folder. Its base comes from the tag of a git repository."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(FOLDER, folder / "deploy/kubernetes")
    author = ["-c", "user.name=A", "-c", "user.email=a@acme.test"]
    tag = ["tag", f"v{app.__version__}"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "All"], tag):
        subprocess.run(["git", *command], cwd=folder, check=True)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    here = {"https://git.example.com/ticketgate.git": f"file://{folder}/.git"}
    (elsewhere / EXAMPLE.name).write_text(replaced(EXAMPLE.read_text("utf-8"), here))
    return kustomize(elsewhere)


def test_the_example_changes_everything_an_operator_has_to(overlay: Manifests) -> None:
    told = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    (image,), (generated,) = told["images"], told["configMapGenerator"]
    settings = dict(pair.split("=") for pair in generated["literals"])
    deployment, config = overlay["Deployment"]["spec"], overlay["ConfigMap"]
    (container,) = deployment["template"]["spec"]["containers"]
    (rule,), (tls,) = overlay["Ingress"]["spec"]["rules"], overlay["Ingress"]["spec"]["tls"]

    assert all(part["metadata"].get("namespace", "login") == "login" for part in overlay.values())
    assert overlay["Namespace"]["metadata"]["name"] == "login"
    assert container["image"] == f"{image['newName']}:{app.__version__}"
    assert config["data"].items() > settings.items()
    assert config["metadata"]["name"] == container["envFrom"][0]["configMapRef"]["name"]
    assert f"https://{rule['host']}" == settings["SESSION_ISSUER"]
    assert tls["hosts"] == [rule["host"]]


def test_the_ingress_has_only_the_paths_that_apps_verifiers_and_authing_need(
    overlay: Manifests,
) -> None:
    (rule,) = overlay["Ingress"]["spec"]["rules"]
    (port,) = overlay["Service"]["spec"]["ports"]
    backend = {"name": overlay["Service"]["metadata"]["name"], "port": {"name": port["name"]}}
    paths = rule["http"]["paths"]

    public = {"/v1", "/.well-known", "/oauth2", "/webhooks/authing"}
    assert {path["path"] for path in paths} == public
    assert all(path["backend"] == {"service": backend} for path in paths)


def test_autoscaler_and_prometheus_find_the_pods(overlay: Manifests) -> None:
    scaler, deployment = overlay["HorizontalPodAutoscaler"]["spec"], overlay["Deployment"]
    template, target = deployment["spec"]["template"], scaler["scaleTargetRef"]
    (metric,), monitor = scaler["metrics"], overlay["PodMonitor"]["spec"]
    (endpoint,), (container,) = monitor["podMetricsEndpoints"], template["spec"]["containers"]

    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]  # the autoscaler alone sets the number of pods
    assert metric["resource"]["target"] == {"type": "AverageValue", "averageValue": "600m"}
    assert monitor["selector"]["matchLabels"] == template["metadata"]["labels"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}


@pytest.mark.parametrize("component", ["pod-monitor", "ingress"])
def test_a_component_fits_one_instance_too(tmp_path: Path, component: str) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    mine = tmp_path / "kubernetes/mine"
    mine.mkdir()
    wanted = {"resources": ["../base"], "components": [f"../components/{component}"]}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    assert component.replace("-", "") in {kind.lower() for kind in kustomize(mine)}


# --- as Kubernetes and a policy linter see them all ---


@pytest.fixture(scope="module")
def all_manifests(overlay: Manifests, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file for each."""
    folder = tmp_path_factory.mktemp("manifests")
    some = {name: kustomize(FOLDER / name) for name in ("base", "fleet")}
    for name, objects in {**some, "example": overlay}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(objects.values()))
    return folder


@pytest.mark.long
@pytest.mark.parametrize("version", ["1.33", "1.35", "1.37"])
def test_kubernetes_knows_every_field(all_manifests: Path, version: str) -> None:
    files = sorted(all_manifests.iterdir())
    checked = run("kubernetes-validate", "--strict", "-k", f"{version}.0", *files)
    doubts = [line for line in checked.stdout.splitlines() if not line.startswith("INFO")]
    assert checked.returncode == 0, checked.stdout
    assert all("PodMonitor" in line for line in doubts)  # the operator's own kind


@pytest.mark.long
def test_the_policy_linter_has_no_objection(all_manifests: Path) -> None:
    config = FOLDER / ".checkov.yaml"
    rules = re.findall(r"CKV\w+.*", config.read_text("utf-8"))
    assert [rule for rule in rules if " # " not in rule] == []  # each exception has its reason
    options = ("--quiet", "--compact", "--skip-download", "--framework", "kubernetes")

    checked = run("checkov", *options, "--config-file", config, "--directory", all_manifests)

    assert "Failed checks: 0" in checked.stdout, checked.stdout
    assert checked.returncode == 0
