"""What is in `deploy/`, as data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from dotenv import dotenv_values

from app.config import Settings, load_settings
from tests.commands.environment import POOL_SECRET, enter
from tests.deploy.dockerfile import ROOT, Dockerfile, read_dockerfile
from tests.deploy.programs import Manifests

Load: TypeAlias = Callable[[type[Settings], dict[str, str]], Settings]


@pytest.fixture(scope="session")
def dockerfile() -> Dockerfile:
    return read_dockerfile()


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The one service of the sandbox's Compose file."""
    content = yaml.safe_load((ROOT / "deploy/sandbox/compose.yaml").read_text(encoding="utf-8"))
    (service,) = content["services"].values()
    return dict(service)


@pytest.fixture(scope="session")
def manifests() -> Manifests:
    """The Kubernetes objects, by kind."""
    files = sorted((ROOT / "deploy/kubernetes/base").glob("*.yaml"))
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    by_kind = {document["kind"]: document for document in documents}
    assert len(by_kind) == len(files)
    return by_kind


@pytest.fixture(scope="session")
def pod(manifests: Manifests) -> dict[str, Any]:
    return dict(manifests["Deployment"]["spec"]["template"]["spec"])


@pytest.fixture(scope="session")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


@pytest.fixture(scope="session")
def plain_settings() -> dict[str, str]:
    """The content of the ConfigMap."""
    values = dotenv_values(ROOT / "deploy/kubernetes/base/settings.env")
    return {name: value or "" for name, value in values.items()}


@pytest.fixture(scope="session")
def readme() -> str:
    return (ROOT / "deploy/README.md").read_text(encoding="utf-8")


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dockerfile: Dockerfile) -> Load:
    """Load settings as the service does in a container: these and the image's variables.

    They are given as an env file, because there unknown names are refused.
    """
    enter(tmp_path, monkeypatch)
    (tmp_path / "AUTHING_USER_POOL_SECRET").write_text(POOL_SECRET)
    of_image = {name: dockerfile.variables[name] for name in ("HOST", "SESSION_KEYS_FILE")}

    def load(kind: type[Settings], given: dict[str, str]) -> Settings:
        lines = [f"{name}={value}" for name, value in {**of_image, **given}.items()]
        file = tmp_path / ".env"
        file.write_text("\n".join(lines))
        return load_settings(kind, env_file=file, secrets_dir=tmp_path)

    return load
