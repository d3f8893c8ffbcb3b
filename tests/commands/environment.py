"""The minimal settings, without the settings of this machine."""

import os
from pathlib import Path

import pytest

from app import keyfile
from app.config import Settings

POOL_ID = "5f0000000000000000000002"
POOL_SECRET = "made-up-pool-secret-0123456789abcdef"
ISSUER = "https://login.acme.test"


def minimal(folder: Path) -> dict[str, str]:
    """The required settings, and a store in the folder; its key file is made if there is none."""
    keys = folder / "keys.json"
    if not keys.exists():
        keyfile.create(keys, "ES256")
    return {
        "AUTHING_USER_POOL_ID": POOL_ID,
        "AUTHING_USER_POOL_SECRET": POOL_SECRET,
        "SESSION_ISSUER": ISSUER,
        "SESSION_KEYS_FILE": str(keys),
        "STORE_URL": f"sqlite:///{folder / 'sessions.db'}",
    }


def names_of_settings() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def without_settings() -> dict[str, str]:
    """The machine's environment without anything that the service would read."""
    names = names_of_settings()
    return {name: value for name, value in os.environ.items() if name.upper() not in names}


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """Go into the folder, with these settings in the environment and no others."""
    monkeypatch.chdir(folder)
    for name in os.environ.keys() - without_settings().keys():
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
