"""The fleet's Compose file: what its parts promise each other, the image and the service."""

import re
import ssl
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import SECRETS_DIR, Settings
from tests.commands.environment import ISSUER, POOL_ID
from tests.deploy.conftest import Load
from tests.deploy.dockerfile import ROOT, Dockerfile

FOLDER = ROOT / "deploy"
INSTANCES = ("ticketgate-a", "ticketgate-b")


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def services(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(content["services"])


@pytest.fixture(scope="module")
def nginx_conf() -> str:
    return (FOLDER / "nginx/nginx.conf").read_text(encoding="utf-8")


@pytest.fixture
def settings(services: dict[str, Any], load: Load) -> Settings:
    """What an instance makes of its variables, and of what the page lets an operator write."""
    of_operator = {"AUTHING_USER_POOL_ID": POOL_ID, "SESSION_ISSUER": ISSUER}
    of_file = services[INSTANCES[0]]["environment"]
    return load(Settings, {**of_operator, **of_file, "STORE_URL": "redis://valkey"})


def source_of(service: dict[str, Any], target: str) -> str:
    (found,) = [mount for mount in service["volumes"] if mount.split(":")[1] == target]
    source, _, options = found.split(":")
    assert options == "ro"
    return str(source)


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def directive(conf: str, name: str) -> str:
    (value,) = re.findall(rf"^\s*{name} ([^;]+);", conf, re.MULTILINE)
    return str(value)


@pytest.mark.parametrize("name", ["nginx", *INSTANCES, "valkey", "keys"])
def test_every_service_is_confined_and_its_memory_bounded(
    services: dict[str, Any], name: str
) -> None:
    service = services[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert not {"privileged", "cap_add", "pid"} & service.keys()
    assert service.get("user") or service["image"] == "ticketgate"  # whose image is not root
    assert service.get("mem_limit") or name == "keys"  # which runs once, by hand


def test_only_nginx_can_be_reached_and_listens_on_the_published_port(
    services: dict[str, Any], content: dict[str, Any], nginx_conf: str
) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    assert content["networks"]["store"] == {"internal": True}
    assert services["valkey"]["networks"] == ["store"]
    assert "store" not in services["nginx"]["networks"]
    assert services["nginx"]["ports"] == ["443:8443"]
    assert directive(nginx_conf, "listen") == "8443 ssl default_server"


def test_nginx_accepts_only_ciphers_with_forward_secrecy(nginx_conf: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(directive(nginx_conf, "ssl_ciphers"))
    ciphers = context.get_ciphers()

    assert directive(nginx_conf, "ssl_protocols") == "TLSv1.2 TLSv1.3"
    assert {cipher["kea"] for cipher in ciphers} == {"kx-ecdhe", "kx-any"}  # any: of TLS 1.3
    assert all(cipher["aead"] for cipher in ciphers)
    assert {cipher["auth"] for cipher in ciphers} == {"auth-ecdsa", "auth-rsa", "auth-any"}


def test_nginx_leaves_out_no_instance_that_restarts(nginx_conf: str) -> None:
    servers = re.findall(r"^ +server (.+);$", nginx_conf, re.MULTILINE)
    assert len(servers) == len(INSTANCES)
    assert [server.split()[1:] for server in servers] == [["max_fails=0"]] * len(servers)


def test_nginx_knows_the_instances_and_they_trust_only_nginx(
    services: dict[str, Any], content: dict[str, Any], nginx_conf: str, settings: Settings
) -> None:
    addresses = [services[name]["networks"]["front"]["ipv4_address"] for name in INSTANCES]
    (front,) = content["networks"]["front"]["ipam"]["config"]

    asked = re.findall(r"^\s*server ([\d.:]+)", nginx_conf, re.MULTILINE)
    assert asked == [f"{address}:{settings.port}" for address in addresses]
    assert all(ip_address(address) in ip_network(front["subnet"]) for address in addresses)
    nginx = services["nginx"]["networks"]["front"]["ipv4_address"]
    assert settings.trusted_proxies == (ip_network(nginx),)


def test_the_instances_share_read_only_keys_and_secrets_and_have_no_store_of_their_own(
    services: dict[str, Any], settings: Settings, dockerfile: Dockerfile
) -> None:
    for name in INSTANCES:
        assert source_of(services[name], str(settings.session_keys_file.parent)) == "keys"
        assert source_of(services[name], str(SECRETS_DIR)) == "/etc/ticketgate/secrets"
        assert f"{dockerfile.last('VOLUME').text}:ro" in services[name]["tmpfs"]
    assert services["keys"]["volumes"] == [f"keys:{settings.session_keys_file.parent}"]
    # No variable hides a secret file.
    assert services[INSTANCES[0]]["environment"].keys() == {"TRUSTED_PROXIES"}


def test_every_service_has_time_to_finish(
    services: dict[str, Any], settings: Settings, nginx_conf: str
) -> None:
    needed = (settings.drain_delay + settings.shutdown_timeout).total_seconds()

    for name in INSTANCES:
        assert seconds(services[name]["stop_grace_period"]) > needed
    longest = seconds(directive(nginx_conf, "proxy_read_timeout"))
    assert seconds(services["nginx"]["stop_grace_period"]) > longest
    login = settings.authing_timeout.total_seconds() + 4  # the store: claim, redeem, open, tidy up
    assert longest > login


def test_valkey_keeps_every_write(services: dict[str, Any]) -> None:
    lines = (FOLDER / "valkey/valkey.conf").read_text(encoding="utf-8").splitlines()
    said = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    (volume,) = [m for m in services["valkey"]["volumes"] if m.startswith("valkey:")]

    assert (said["appendonly"], said["appendfsync"]) == ("yes", "always")
    assert said["maxmemory-policy"] == "noeviction"
    assert volume == f"valkey:{said['dir']}"
    assert source_of(services["valkey"], str(Path(said["aclfile"]).parent))


def test_every_image_is_pinned_by_digest_and_its_tag_named(
    services: dict[str, Any], dockerfile: Dockerfile
) -> None:
    others = {service["image"] for service in services.values()} - {"ticketgate"}
    images = [*others, dockerfile.instructions[0].text.removeprefix("PYTHON_IMAGE=")]
    files = [ROOT / name for name in ("Dockerfile", "deploy/compose.yaml")]
    comments = re.findall("# (.*)", "".join(file.read_text(encoding="utf-8") for file in files))

    assert len(images) == 3
    for image in images:
        tag, _, digest = image.partition("@")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest), image
        assert any(tag in comment for comment in comments), tag


def test_every_mounted_file_exists(services: dict[str, Any]) -> None:
    mounts = [m for service in services.values() for m in service["volumes"]]
    sources = [m.split(":")[0] for m in mounts if m.startswith("./")]

    assert len(sources) == 2
    assert all((FOLDER / source).is_file() for source in sources)
