"""The licences of what runs in production: known ones, and none that binds who passes it on.

What a package says of itself is read where it is installed, so each supported Python checks its own
share of the locked requirements.
"""

import re
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ALLOWED = {
    *("MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0"),
    "MPL-2.0",  # certifi: binds its own file, a list of authorities, which we pass on unchanged
}
OLD_NAMES = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Apache 2.0": "Apache-2.0",
}
READ_BY_US = {
    "httpx": "BSD-3-Clause"  # says "BSD License" in its classifier, which there are many of
}


def licences_of(about: Message) -> set[str]:
    """What a package's metadata says: an SPDX expression (PEP 639), or one of the older ways."""
    if expression := about.get("License-Expression"):
        return set(re.split(r" (?:AND|OR) ", expression))
    classifiers = [c.split(" :: ")[-1] for c in about.get_all("Classifier", []) if "License" in c]
    names = classifiers or [about.get("License") or "nothing"]
    return {OLD_NAMES.get(name, name) for name in names}


def installed(lock: Path) -> list[str]:
    lines = re.findall(r"^(\w[^\\\n]*)", lock.read_text("utf-8"), re.MULTILINE)
    wanted = [Requirement(line.strip()) for line in lines]
    return sorted({r.name for r in wanted if r.marker is None or r.marker.evaluate()})


def test_every_runtime_dependency_has_a_permissive_licence(root: Path) -> None:
    names = installed(root / "requirements" / "runtime.txt")
    found = {
        name: {READ_BY_US[name]}
        if name in READ_BY_US
        else licences_of(metadata.distribution(name).metadata)  # type: ignore[arg-type]  # a Message
        for name in names
    }
    assert len(found) > 20
    assert {name: of for name, of in found.items() if not of <= ALLOWED} == {}
    assert READ_BY_US.keys() <= found.keys()


@pytest.mark.parametrize(
    ("header", "told", "licences"),
    [
        ("License-Expression", "MIT AND GPL-3.0-only", {"MIT", "GPL-3.0-only"}),
        ("Classifier", "License :: OSI Approved :: MIT License", {"MIT"}),
        ("Classifier", "License :: OSI Approved :: BSD License", {"BSD License"}),
        ("License", "AGPL-3.0", {"AGPL-3.0"}),
        ("Name", "a package that says nothing", {"nothing"}),
    ],
)
def test_an_unknown_or_copyleft_licence_is_found(
    header: str, told: str, licences: set[str]
) -> None:
    about = Message()
    about[header] = told
    assert licences_of(about) == licences
    assert (licences <= ALLOWED) is (licences == {"MIT"})
