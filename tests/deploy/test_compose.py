"""The Compose files: what their parts promise each other, the image and the service."""

import re
import ssl
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.commands.sandbox import read_settings
from app.config import SECRETS_DIR, Settings
from app.sandbox import SandboxOptions
from app.store_url import SqliteUrl
from tests.commands.environment import ISSUER, POOL_ID, POOL_SECRET, enter
from tests.deploy.conftest import Dockerfile, Load, read, time_to_finish
from tests.support.processes import ROOT

INSTANCES = ("ticketgate-a", "ticketgate-b")
FLEET: dict[str, Any] = yaml.safe_load(read("compose.yaml"))
SERVICES: dict[str, Any] = FLEET["services"]
NGINX_CONF = read("nginx/nginx.conf")
(SANDBOX,) = yaml.safe_load(read("sandbox/compose.yaml"))["services"].values()


@pytest.fixture
def settings(load: Load) -> Settings:
    """What an instance makes of its variables, and of what the page lets an operator write."""
    of_operator = {"AUTHING_USER_POOL_ID": POOL_ID, "SESSION_ISSUER": ISSUER}
    of_file = SERVICES[INSTANCES[0]]["environment"]
    return load({**of_operator, **of_file, "STORE_URL": "redis://valkey"})


def source_of(service: dict[str, Any], target: str) -> str:
    (found,) = [mount for mount in service["volumes"] if mount.split(":")[1] == target]
    source, _, options = found.split(":")
    assert options == "ro"
    return str(source)


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def directive(name: str) -> str:
    (value,) = re.findall(rf"^\s*{name} ([^;]+);", NGINX_CONF, re.MULTILINE)
    return str(value)


@pytest.mark.parametrize("name", [*SERVICES, "sandbox"])
def test_every_service_is_confined_and_its_memory_bounded(name: str) -> None:
    service = SERVICES.get(name, SANDBOX)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert not {"privileged", "cap_add", "pid"} & service.keys()
    assert service.get("user") or "build" in service  # the image is not root
    assert service.get("mem_limit") or name == "keys"  # which runs once, by hand


def test_only_nginx_can_be_reached_and_listens_on_the_published_port() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert FLEET["networks"]["store"] == {"internal": True}
    assert SERVICES["valkey"]["networks"] == ["store"]
    assert "store" not in SERVICES["nginx"]["networks"]
    assert SERVICES["nginx"]["ports"] == ["443:8443"]
    assert directive("listen") == "8443 ssl default_server"


def test_nginx_accepts_only_ciphers_with_forward_secrecy() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(directive("ssl_ciphers"))
    ciphers = context.get_ciphers()

    assert directive("ssl_protocols") == "TLSv1.2 TLSv1.3"
    assert {cipher["kea"] for cipher in ciphers} == {"kx-ecdhe", "kx-any"}  # any: of TLS 1.3
    assert all(cipher["aead"] for cipher in ciphers)
    assert {cipher["auth"] for cipher in ciphers} == {"auth-ecdsa", "auth-rsa", "auth-any"}


def test_nginx_knows_the_instances_and_they_trust_only_nginx(settings: Settings) -> None:
    addresses = [SERVICES[name]["networks"]["front"]["ipv4_address"] for name in INSTANCES]
    (front,) = FLEET["networks"]["front"]["ipam"]["config"]

    # With max_fails=0, nginx leaves out no instance that restarts.
    asked = re.findall(r"^\s*server ([\d.:]+) max_fails=0;", NGINX_CONF, re.MULTILINE)
    assert asked == [f"{address}:{settings.port}" for address in addresses]
    assert all(ip_address(address) in ip_network(front["subnet"]) for address in addresses)
    nginx = SERVICES["nginx"]["networks"]["front"]["ipv4_address"]
    assert settings.trusted_proxies == (ip_network(nginx),)


def test_the_instances_share_read_only_keys_and_secrets_and_have_no_store_of_their_own(
    settings: Settings, dockerfile: Dockerfile
) -> None:
    for name in INSTANCES:
        service = SERVICES[name]
        assert source_of(service, str(settings.session_keys_file.parent)) == "keys"
        assert source_of(service, str(SECRETS_DIR)) == "/etc/ticketgate/secrets"
        assert f"{dockerfile.last('VOLUME')}:ro" in service["tmpfs"]
    assert SERVICES["keys"]["volumes"] == [f"keys:{settings.session_keys_file.parent}"]
    # No variable hides a secret file.
    assert SERVICES[INSTANCES[0]]["environment"].keys() == {"TRUSTED_PROXIES"}


def test_every_service_has_time_to_finish(settings: Settings) -> None:
    for service in (*(SERVICES[name] for name in INSTANCES), SANDBOX):
        assert seconds(service["stop_grace_period"]) > time_to_finish(settings).total_seconds()
    longest = seconds(directive("proxy_read_timeout"))
    assert seconds(SERVICES["nginx"]["stop_grace_period"]) > longest
    login = settings.authing_timeout.total_seconds() + 4  # the commands of the store
    assert longest > login


def test_valkey_keeps_every_write() -> None:
    lines = read("valkey/valkey.conf").splitlines()
    said = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))

    assert (said["appendonly"], said["appendfsync"]) == ("yes", "always")
    assert said["maxmemory-policy"] == "noeviction"
    assert f"valkey:{said['dir']}" in SERVICES["valkey"]["volumes"]
    assert source_of(SERVICES["valkey"], str(Path(said["aclfile"]).parent))


def test_every_image_is_pinned_by_digest_and_its_tag_named(dockerfile: Dockerfile) -> None:
    others = {service["image"] for service in SERVICES.values()} - {"ticketgate"}
    images = [*others, dockerfile.instructions[0][1].removeprefix("PYTHON_IMAGE=")]
    files = [ROOT / name for name in ("Dockerfile", "deploy/compose.yaml")]
    comments = re.findall("# (.*)", "".join(file.read_text(encoding="utf-8") for file in files))

    assert len(images) == 3
    for image in images:
        tag, _, digest = image.partition("@")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest), image
        assert any(tag in comment for comment in comments), tag


def test_every_mounted_file_exists() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service["volumes"]]
    sources = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(sources) == 2
    assert all((ROOT / "deploy" / source).is_file() for source in sources)


def test_the_sandbox_writes_into_its_volume_and_is_reachable_from_this_machine_only(
    dockerfile: Dockerfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch, **dockerfile.variables)
    command, *rest = SANDBOX["command"]
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    fake = SandboxOptions(user_pool_id=POOL_ID, user_pool_secret=POOL_SECRET)
    settings = read_settings(options["--host"], Path(options["--folder"]), fake)
    volume = dockerfile.last("VOLUME")

    assert command == "sandbox"
    assert (ROOT / "deploy/sandbox" / SANDBOX["build"]).resolve() == ROOT
    assert [mount.split(":")[1] for mount in SANDBOX["volumes"]] == [volume]
    assert isinstance(settings.store_url, SqliteUrl)
    assert settings.store_url.path.is_relative_to(volume)
    assert settings.session_keys_file.is_relative_to(volume)
    assert SANDBOX["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    assert settings.host == "0.0.0.0"  # noqa: S104  # the port of a container is forwarded to it
