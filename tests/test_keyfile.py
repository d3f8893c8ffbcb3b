"""The key file: created, rolled over, and followed by the service."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from app import keyfile
from app.errors import StartupError
from app.jose.jwk import SIGNING_ALGORITHMS, InvalidKey, SigningAlgorithm
from app.jose.key_ring import KeyRing
from app.keyfile import KEY_KINDS, KeyKind
from app.keyfile.followed import KeyFile
from tests.stores.full_disk import file_size_limit
from tests.support.fakes import RecordedEvents
from tests.support.keys import read_keys

MODIFIED = "2026-11-22T12:00:00Z"
NOW = datetime.fromisoformat(MODIFIED).timestamp()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where there is a key file with one key of each use."""
    path = tmp_path / "keys.json"
    keyfile.create(path, "ES256")
    return path


def members(path: Path) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(path.read_bytes())["keys"]
    return keys


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# --- new ---


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
def test_a_new_file_holds_one_key_of_each_use(tmp_path: Path, algorithm: SigningAlgorithm) -> None:
    path = tmp_path / "folder" / "that" / "is" / "new" / "keys.json"
    kids = keyfile.create(path, algorithm)
    ring = read_keys(path)
    assert ring.signing_key.algorithm == algorithm
    assert [ring.signing_key.kid, ring.current_secret_key.kid] == kids
    assert (len(ring.signing_keys), len(ring.secret_keys)) == (1, 1)
    assert [key["kid"] for key in members(path)] == kids
    assert mode(path) == 0o600


def test_new_never_overwrites_even_if_many_begin_at_once(tmp_path: Path) -> None:
    path, starters = tmp_path / "keys.json", 8
    line = Barrier(starters)

    def start(_: int) -> list[str]:
        line.wait()
        with suppress(InvalidKey):
            return keyfile.create(path, "ES256")
        return []

    with ThreadPoolExecutor(starters) as pool:
        made = [kids for kids in pool.map(start, range(starters)) if kids]
    ring = read_keys(path)
    assert made == [[ring.signing_key.kid, ring.current_secret_key.kid]]


# --- add, promote, retire ---


def kids(path: Path, kind: KeyKind) -> list[str]:
    """Of the keys of its use, the one in use first."""
    ring = read_keys(path)
    return [key.kid for key in (ring.secret_keys if kind == "oct" else ring.signing_keys)]


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_an_added_key_is_published_and_used_after_it_was_promoted(
    path: Path, kind: KeyKind
) -> None:
    (old,), other = kids(path, kind), kids(path, "ES256" if kind == "oct" else "oct")
    new = keyfile.add(path, kind)
    assert kids(path, kind) == [old, new]
    published = [key["kid"] for key in read_keys(path).public_jwks()["keys"]]
    assert (new in published) == (kind != "oct")
    for _ in range(2):  # the second time changes nothing
        keyfile.promote(path, new)
        assert kids(path, kind) == [new, old]
    assert kids(path, "ES256" if kind == "oct" else "oct") == other
    assert mode(path) == 0o600


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_retired_key_is_gone_and_the_others_stay(path: Path, kind: KeyKind) -> None:
    before, kid = keyfile.describe(path), keyfile.add(path, kind)
    keyfile.retire(path, kid)
    assert keyfile.describe(path) == before


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda path: keyfile.retire(path, kids(path, "oct")[0]), "promote another key first"),
        (lambda path: keyfile.retire(path, kids(path, "ES256")[0]), "promote another key first"),
        (lambda path: keyfile.retire(path, "unknown"), "there is no key unknown"),
        (lambda path: keyfile.promote(path, "unknown"), "there is no key unknown"),
        (lambda path: keyfile.create(path, "ES256"), "exists already"),
    ],
)
def test_a_refused_change_leaves_the_file_as_it_was(
    path: Path, change: Callable[[Path], object], refusal: str
) -> None:
    keyfile.add(path, "ES256")
    keyfile.add(path, "oct")
    before = path.read_bytes()
    with pytest.raises(InvalidKey, match=refusal):
        change(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_list_tells_every_key_in_order_and_no_secret(path: Path) -> None:
    path.unlink()
    keyfile.create(path, "ES256", clock=lambda: NOW)
    old, first_secret = read_keys(path).signing_key.kid, read_keys(path).current_secret_key.kid
    added = [keyfile.add(path, kind, clock=lambda: NOW + 60) for kind in ("EdDSA", "oct")]
    keyfile.promote(path, added[0], clock=lambda: NOW + 3600)
    assert keyfile.describe(path) == [
        f"{added[0]}  EdDSA  made 2026-11-22T12:01:00Z  signs access tokens",
        f"{old}  ES256  made 2026-11-22T12:00:00Z  not used since 2026-11-22T13:00:00Z",
        f"{first_secret}  oct  made 2026-11-22T12:00:00Z  binds refresh tokens",
        f"{added[1]}  oct  made 2026-11-22T12:01:00Z",
    ]


def test_the_list_tells_of_a_key_without_a_date_that_it_is_older_than_the_file(path: Path) -> None:
    undated(path, 10**15)
    assert all(f"  made before {MODIFIED}  " in line for line in keyfile.describe(path))


def undated(path: Path, created: object) -> None:
    """Let the keys have been made by another program, in a file of 2026-11-22."""
    keys = [{**key, "ticketgate_created": created} for key in members(path)]
    path.write_text(json.dumps({"keys": keys}))
    os.utime(path, (NOW, NOW))


# --- retire while tokens may live ---


LIVES = keyfile.TokenLives(access=timedelta(minutes=10), session=timedelta(days=30))


@pytest.mark.parametrize(("kind", "life"), [("ES256", 600), ("oct", 30 * 86_400)])
def test_a_replaced_key_is_retired_when_its_tokens_have_expired(
    path: Path, kind: KeyKind, life: int
) -> None:
    ring = read_keys(path)
    old = ring.current_secret_key.kid if kind == "oct" else ring.signing_key.kid
    keyfile.promote(path, keyfile.add(path, kind), clock=lambda: NOW)
    with pytest.raises(InvalidKey, match=r"tokens of .* may be valid until 2026-1.*; --force"):
        keyfile.retire(path, old, LIVES, clock=lambda: NOW + life)
    keyfile.retire(path, old, LIVES, clock=lambda: NOW + life + 60)
    assert old not in path.read_text()


def test_a_key_that_was_never_in_use_is_retired_at_once(path: Path) -> None:
    kid = keyfile.add(path, "ES256")
    keyfile.retire(path, kid, LIVES)
    assert kid not in path.read_text()


def test_a_key_that_is_in_use_again_is_not_retired_by_its_old_date(path: Path) -> None:
    first, second = read_keys(path).signing_key.kid, keyfile.add(path, "ES256")
    keyfile.promote(path, second, clock=lambda: NOW)
    keyfile.promote(path, first, clock=lambda: NOW + 86_400)
    keyfile.promote(path, second, clock=lambda: NOW + 2 * 86_400)
    with pytest.raises(InvalidKey, match="may be valid until"):
        keyfile.retire(path, first, LIVES, clock=lambda: NOW + 2 * 86_400 + 60)


@pytest.mark.parametrize("created", [None, "yesterday", 10**15])
def test_a_key_of_unknown_age_was_in_use_until_the_file_changed(
    path: Path, created: object
) -> None:
    kid = keyfile.add(path, "ES256")
    undated(path, created)
    with pytest.raises(InvalidKey, match="may be valid until 2026-11-22T12:11:00Z"):
        keyfile.retire(path, kid, LIVES, clock=lambda: NOW + 600)
    keyfile.retire(path, kid, LIVES, clock=lambda: NOW + 660)


def test_dates_of_keys_are_not_published(path: Path) -> None:
    keyfile.promote(path, keyfile.add(path, "ES256"))
    assert "ticketgate" in path.read_text()
    assert "ticketgate" not in json.dumps(read_keys(path).public_jwks())


# --- writing ---


def test_concurrent_changes_through_a_link_are_all_kept(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.json"
    link.parent.mkdir()
    link.symlink_to(path)
    first, second = read_keys(path).current_secret_key.kid, keyfile.add(path, "oct")
    line = Barrier(8)

    def change(number: int) -> str:
        line.wait()
        if number:
            return keyfile.add((path, link)[number % 2], "oct")
        keyfile.promote(path, second)
        return second

    with ThreadPoolExecutor(8) as pool:
        changed = list(pool.map(change, range(8)))
    kids = [key.kid for key in read_keys(path).secret_keys]
    assert link.is_symlink()
    assert kids[0] == second
    assert sorted(kids) == sorted([first, *changed])


def test_a_rolled_over_file_keeps_its_mode_and_its_owner(path: Path) -> None:
    path.chmod(0o640)  # as the page for systemd does: the service is in the group
    owner = 10001 if os.getuid() == 0 else os.getuid()  # only root can give files away
    os.chown(path, owner, -1)
    keyfile.add(path, "ES256")
    assert (mode(path), path.stat().st_uid) == (0o640, owner)


def test_a_reader_in_the_middle_of_a_change_has_the_whole_old_file(path: Path) -> None:
    before = path.read_bytes()
    with path.open("rb") as reader:
        beginning = reader.read(10)
        keyfile.add(path, "ES256")
        assert beginning + reader.read() == before


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    before = path.read_bytes()
    with file_size_limit(100), pytest.raises(OSError, match="File too large"):
        keyfile.add(path, "ES256")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys": []}', b"\xff"])
def test_a_file_that_the_service_would_refuse_is_not_built_upon(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidKey):
        keyfile.add(path, "ES256")
    assert path.read_bytes() == content


# --- following ---


@pytest.fixture
def events() -> RecordedEvents:
    return RecordedEvents()


@pytest.fixture
def followed(path: Path, events: RecordedEvents, monkeypatch: pytest.MonkeyPatch) -> KeyFile:
    monkeypatch.chdir(path.parent)
    return KeyFile(Path(path.name), events)


@contextmanager
def without_privileges(folder: Path) -> Iterator[None]:
    """Run as the folder's owner would, who needs the right to read; root needs none."""
    user = os.geteuid()
    if user == 0:
        for each in (folder, *folder.iterdir()):
            os.chown(each, 65534, -1)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def other_keys(path: Path, *, same_secret: bool = True) -> bytes:
    """The content of another key file, as long as the one at the path."""
    elsewhere = path.with_name("other.json")
    keyfile.create(elsewhere, "ES256")
    secret = members(path if same_secret else elsewhere)[1]
    content = json.dumps({"keys": [members(elsewhere)[0], secret]}, indent=2).encode() + b"\n"
    elsewhere.unlink()
    assert len(content) == path.stat().st_size
    return content


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file or directory"), ("{", "not valid JSON")]
)
def test_a_service_without_a_good_key_file_does_not_start(
    path: Path, events: RecordedEvents, content: str | None, says: str
) -> None:
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(StartupError, match=rf"^SESSION_KEYS_FILE: .*: {says}$"):
        KeyFile(path, events)


def test_an_unchanged_file_is_not_read_again(followed: KeyFile, events: RecordedEvents) -> None:
    ring = followed.ring
    followed.follow()
    assert followed.ring is ring
    assert events.names == []


def test_a_changed_file_is_taken_over_and_reported_once(
    path: Path, followed: KeyFile, events: RecordedEvents
) -> None:
    kid = keyfile.add(path, "EdDSA")
    followed.follow()
    followed.follow()
    assert kid in [key.kid for key in followed.ring.signing_keys]
    assert events.names == ["keys_reloaded"]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Path.unlink, "ENOENT"),
        (truncated, "json"),
        (lambda path: path.write_bytes(b""), "json"),
        (lambda path: path.write_bytes(b'{"keys": []}'), "no_signing_key"),
        (lambda path: path.write_bytes(other_keys(path, same_secret=False)), "other_secret_keys"),
        (lambda path: path.chmod(0), "EACCES"),
        (replaced_by_a_pipe, "not_a_small_file"),
        (lambda path: path.write_bytes(path.read_bytes().ljust(2**20)), "not_a_small_file"),
    ],
    ids=["missing", "truncated", "empty", "no-keys", "other-keys", "unreadable", "pipe", "huge"],
)
def test_a_spoilt_file_keeps_the_keys_and_is_reported_once_until_it_is_repaired(
    path: Path,
    followed: KeyFile,
    events: RecordedEvents,
    spoil: Callable[[Path], None],
    reason: str,
) -> None:
    ring, repaired = followed.ring, other_keys(path)
    spoil(path)
    with without_privileges(path.parent):
        followed.follow()
        followed.follow()
    assert (followed.ring, followed.state) == (ring, "reload_failed")
    assert events.entries == [("keys_reload_failed", "", {"reason": reason})]
    path.unlink(missing_ok=True)
    path.write_bytes(repaired)
    followed.follow()
    assert followed.ring.signing_key.kid == read_keys(path).signing_key.kid
    assert (followed.state, events.names[-1]) == ("ok", "keys_reloaded")


def test_a_mounted_secret_that_is_swapped_is_taken_over(
    path: Path, tmp_path: Path, events: RecordedEvents
) -> None:
    """As Kubernetes does: the name stays a link, and a link behind it changes in one step."""
    mount, status = tmp_path / "mount", path.stat()
    versions = {"..v1": path.read_bytes(), "..v2": other_keys(path)}
    for version, content in versions.items():
        file = mount / version / "keys.json"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    (mount / "..data").symlink_to("..v1")
    (mount / "keys.json").symlink_to("..data/keys.json")
    followed = KeyFile(mount / "keys.json", events)
    (mount / "..new").symlink_to("..v2")
    (mount / "..new").replace(mount / "..data")
    followed.follow()
    assert followed.ring.signing_key.kid == KeyRing.from_jwk_set(versions["..v2"]).signing_key.kid
    assert events.names == ["keys_reloaded"]


def test_a_file_that_keeps_one_secret_key_is_taken_over(path: Path, followed: KeyFile) -> None:
    old, new = followed.ring.current_secret_key.kid, keyfile.add(path, "oct")
    followed.follow()
    keyfile.promote(path, new)
    keyfile.retire(path, old)
    followed.follow()
    assert [key.kid for key in followed.ring.secret_keys] == [new]
