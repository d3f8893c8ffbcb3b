"""What is in `deploy/`, as data."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from app.config import Settings, load_settings
from tests.commands.environment import POOL_SECRET, enter
from tests.e2e.conftest import Authing, running_authing
from tests.support.processes import ROOT
from tests.support.programs import run

Load: TypeAlias = Callable[[dict[str, str]], Settings]
Manifests: TypeAlias = dict[str, dict[str, Any]]
"""Kubernetes objects by kind."""


def read(name: str) -> str:
    return (ROOT / "deploy" / name).read_text("utf-8")


def replaced(text: str, pieces: Mapping[str, object]) -> str:
    """The text with these pieces replaced, each of which must be there."""
    for piece, other in pieces.items():
        assert piece in text, piece
        text = text.replace(piece, str(other))
    return text


def kustomize(folder: Path) -> Manifests:
    """The objects that the real kustomize makes of the folder."""
    built = run("kubectl", "kustomize", folder)
    assert (built.returncode, built.stderr) == (0, "")
    documents = list(yaml.safe_load_all(built.stdout))
    by_kind = {document["kind"]: document for document in documents}
    assert len(by_kind) == len(documents)
    return by_kind


def time_to_finish(settings: Settings | None = None) -> timedelta:
    """How long a service may take to stop; without settings, by default."""
    if settings is not None:
        return settings.drain_delay + settings.shutdown_timeout
    fields = Settings.model_fields
    defaults: timedelta = fields["drain_delay"].default + fields["shutdown_timeout"].default
    return defaults


@dataclass(frozen=True)
class Dockerfile:
    instructions: list[tuple[str, str]]
    """The word and the text of each."""

    def all(self, word: str) -> list[str]:
        return [text for each, text in self.instructions if each == word]

    def last(self, word: str) -> str:
        return self.all(word)[-1]

    @property
    def variables(self) -> dict[str, str]:
        """What the image sets in the environment."""
        pairs = (pair.partition("=") for text in self.all("ENV") for pair in words(text))
        return {name: value for name, _, value in pairs}


def words(text: str) -> list[str]:
    """The arguments of an instruction, of the JSON form or of the plain one."""
    form = re.search(r"\[.*\]$", text)
    return list(json.loads(form[0])) if form else shlex.split(text)


@pytest.fixture(scope="session")
def dockerfile() -> Dockerfile:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "").splitlines()
    pairs = (line.split(maxsplit=1) for line in joined)
    return Dockerfile([(word, text) for word, text in pairs])


@pytest.fixture(scope="module")
def authing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authing]:
    with running_authing(tmp_path_factory.mktemp("authing")) as authing:
        yield authing


@pytest.fixture(scope="session")
def readme() -> str:
    return read("README.md")


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dockerfile: Dockerfile) -> Load:
    """Load settings as the service does in a container: these and the image's variables.

    They are given as an env file, because there unknown names are refused.
    """
    enter(tmp_path, monkeypatch)
    (tmp_path / "AUTHING_USER_POOL_SECRET").write_text(POOL_SECRET)
    of_image = {name: dockerfile.variables[name] for name in ("HOST", "SESSION_KEYS_FILE")}

    def load(given: dict[str, str]) -> Settings:
        lines = [f"{name}={value}" for name, value in {**of_image, **given}.items()]
        file = tmp_path / ".env"
        file.write_text("\n".join(lines))
        return load_settings(Settings, env_file=file, secrets_dir=tmp_path)

    return load
