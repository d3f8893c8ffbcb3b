"""The image, as far as its recipe tells; `deploy/verify-image` asks the image itself."""

import re
import subprocess
import sys

from app.config import Settings
from tests.deploy.conftest import Dockerfile, words
from tests.support.processes import ROOT
from tests.support.programs import run
from tests.support.threads import Request, Response, http_server

SECRETS = {
    name.upper() for name, field in Settings.model_fields.items() if "Secret" in repr(field)
} | {"STORE_URL"}


def check_health(dockerfile: Dockerfile, **environment: str) -> int:
    _, *arguments = words(dockerfile.last("HEALTHCHECK"))
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def test_one_argument_chooses_the_base_and_names_its_version(dockerfile: Dockerfile) -> None:
    word, text = dockerfile.instructions[0]

    assert word == "ARG"
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.13-slim@sha256:[0-9a-f]{64}", text)
    assert {words(stage)[0] for stage in dockerfile.all("FROM")} == {"${PYTHON_IMAGE}"}


def test_the_linter_has_no_objection() -> None:
    checked = run("hadolint", ROOT / "Dockerfile")

    assert (checked.returncode, checked.stdout) == (0, "")


def test_only_locked_wheels_are_installed_from_the_builders_index(dockerfile: Dockerfile) -> None:
    (installing,) = [text for text in dockerfile.all("RUN") if " install " in text]

    for option in (
        "--require-hashes",
        "--only-binary :all:",
        '--requirement "requirements/${REQUIREMENTS}.txt"',
    ):
        assert option in installing
    assert "REQUIREMENTS=runtime" in dockerfile.all("ARG")
    assert "://" not in installing
    assert "apt" not in installing


def test_the_image_copies_exactly_the_files_outside_dockerignore(dockerfile: Dockerfile) -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [rule for rule in rules if rule and not rule.startswith("#")]
    copies = [words(text) for text in dockerfile.all("COPY") if "--from" not in text]

    assert patterns[0] == "*"
    assert {pattern[1:] for pattern in patterns if pattern.startswith("!")} == {
        source for *sources, _ in copies for source in sources
    }


def test_the_service_is_not_root_and_owns_its_volume(dockerfile: Dockerfile) -> None:
    user = dockerfile.last("USER")
    volume = dockerfile.last("VOLUME")

    assert all(int(number) > 0 for number in user.split(":"))
    assert [text for text in dockerfile.all("RUN") if f"chown {user} {volume}" in text]


def test_the_default_store_is_in_the_volume(dockerfile: Dockerfile) -> None:
    folder = Settings.model_fields["store_url"].default.path.parts[0]
    link = f"ln -s {dockerfile.last('VOLUME')} {folder}"

    assert [text for text in dockerfile.all("RUN") if link in text]


def test_the_image_sets_no_variable_that_hides_a_secret_file(dockerfile: Dockerfile) -> None:
    assert "AUTHING_USER_POOL_SECRET" in SECRETS
    assert SECRETS & dockerfile.variables.keys() == set()


def test_the_image_can_be_reached_and_ends_on_sigterm(dockerfile: Dockerfile) -> None:
    assert dockerfile.variables["HOST"] == "0.0.0.0"  # noqa: S104  # a container's own network
    assert dockerfile.last("EXPOSE") == str(Settings.model_fields["port"].default)
    assert dockerfile.last("STOPSIGNAL") == "SIGTERM"
    assert words(dockerfile.last("ENTRYPOINT")) == ["python", "-m", "app"]  # no shell before it
    assert words(dockerfile.last("CMD")) == ["serve"]


def test_the_image_is_healthy_while_livez_succeeds_and_ignores_a_proxy(
    dockerfile: Dockerfile,
) -> None:
    status = 200

    def answer(request: Request) -> Response:
        return Response(status if request.path == "/livez" else 404)

    with http_server(answer) as port:
        assert check_health(dockerfile, HOST="0.0.0.0", PORT=str(port)) == 0  # noqa: S104
        # Port 1 is never served; a client that honours http_proxy would be answered all the same.
        proxy = f"http://127.0.0.1:{port}"
        assert check_health(dockerfile, HOST="127.0.0.1", PORT="1", http_proxy=proxy) == 1
        status = 503
        assert check_health(dockerfile, HOST="127.0.0.1", PORT=str(port)) == 1
