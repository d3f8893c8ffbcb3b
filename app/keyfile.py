"""The key file on disk: create it, roll its keys over, and follow it while the service runs.

The file is a private JWK Set (RFC 7517) that only its owner can read. It is replaced in one step,
so a reader never sees half of it. `app.jose.key_ring` knows the meaning of its keys.
"""

import codecs
import errno
import fcntl
import json
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias, assert_never

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.errors import StartupError
from app.events import Events
from app.jose.jwk import ALGORITHMS, SIGNING_ALGORITHMS, InvalidKey, SigningAlgorithm, thumbprint
from app.jose.key_ring import KeyRing, jwk_set_members

KeyKind: TypeAlias = SigningAlgorithm | Literal["oct"]
KEY_KINDS: tuple[KeyKind, ...] = (*SIGNING_ALGORITHMS, "oct")
_MAX_BYTES = 256 * 1024
_OCT_BYTES = 32
_RSA_BITS = 3072
# Our own members of a JWK, in epoch seconds: when it was made, and when another was promoted.
_CREATED = "ticketgate_created"
_UNUSED_SINCE = "ticketgate_unused_since"
_FOLLOWED_WITHIN = timedelta(seconds=60)
"""By then every instance has read the changed file and signs with the promoted key."""


class KeyFile:
    """A `KeySource` that follows a file. A broken new file keeps the keys that work.

    A file without any of the secret keys in force counts as broken: it would end all sessions.
    """

    def __init__(self, path: Path, events: Events) -> None:
        """Load the keys, or raise StartupError. Reloads and failed ones are events."""
        self._path = path
        self._events = events
        self.state: Literal["ok", "reload_failed"] = "ok"
        with refusals(path):
            self._seen = _stamp(path)
            self._ring = read_keys(path)
            self.made = _made(path)
            """When each key was made, in epoch seconds, by its kid."""

    @property
    def ring(self) -> KeyRing:
        """The current keys."""
        return self._ring

    def follow(self) -> None:
        """Load the file again if it has changed since the last call."""
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._ring, self.made = self._successor(), _made(self._path)
        except (InvalidKey, OSError) as error:
            self.state = "reload_failed"
            self._events.record("keys_reload_failed", reason=_reason(error))
        else:
            self.state = "ok"
            self._events.record("keys_reloaded")

    def _successor(self) -> KeyRing:
        ring, kids = read_keys(self._path), {key.kid for key in self._ring.secret_keys}
        if kids.isdisjoint(key.kid for key in ring.secret_keys):
            raise InvalidKey("the file has none of the secret keys in force", "other_secret_keys")
        return ring


def _reason(error: InvalidKey | OSError) -> str:
    if isinstance(error, InvalidKey):
        return error.reason
    return errno.errorcode.get(error.errno or 0, "unreadable")


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn an error of the file into a StartupError."""
    try:
        yield
    except (OSError, InvalidKey) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StartupError(f"SESSION_KEYS_FILE: {path}: {reason}") from error


def read_keys(path: Path) -> KeyRing:
    """Load the ring; raise OSError or InvalidKey if the file is not usable."""
    return KeyRing.from_jwk_set(_content(path))


@dataclass(frozen=True, slots=True)
class TokenLives:
    """How long tokens live: access tokens by a signing key, sessions by a secret key."""

    access: timedelta
    session: timedelta


def create(
    path: Path, algorithm: SigningAlgorithm, *, clock: Callable[[], float] = time.time
) -> list[str]:
    """Make a file with a signing key and a secret key; return their kids. Never overwrites."""
    keys = [_generate(algorithm, clock), _generate("oct", clock)]
    path.parent.mkdir(parents=True, exist_ok=True)
    # A link instead of a rename fails if the file exists by now.
    _write(path, keys, put=_link_new)
    return [thumbprint(key) for key in keys]


def add(path: Path, kind: KeyKind, *, clock: Callable[[], float] = time.time) -> str:
    """Append a key, which is published and accepted but not used yet. Return its kid."""
    key = _generate(kind, clock)
    with _changed(path) as keys:
        keys.append(key)
    return thumbprint(key)


def promote(path: Path, kid: str, *, clock: Callable[[], float] = time.time) -> None:
    """Move a key before the others of its kind, so that it is the one in use."""
    with _changed(path) as keys:
        chosen = _named(keys, kid)
        _in_use(keys, chosen)[_UNUSED_SINCE] = int(clock())
        chosen.pop(_UNUSED_SINCE, None)
        keys.sort(key=lambda key: key is not chosen)


def retire(
    path: Path, kid: str, lives: TokenLives | None = None, *, clock: Callable[[], float] = time.time
) -> None:
    """Remove a key, whose tokens are refused from now on.

    InvalidKey if the key is in use, or if with these `lives` a token made with it may be valid.
    """
    with _changed(path) as keys:
        chosen = _named(keys, kid)
        if chosen is _in_use(keys, chosen):
            raise InvalidKey(f"{kid} is in use; promote another key first")
        until = _tokens_until(path, chosen, lives) if lives else None
        if until is not None and clock() < until.timestamp():
            message = f"tokens of {kid} may be valid until {_text(until)}; --force retires it now"
            raise InvalidKey(message)
        keys.remove(chosen)


@contextmanager
def _changed(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the keys, and write them as they are then. Concurrent changes wait for each other."""
    path = path.resolve()  # a link stays, and the file that it names is locked and changed
    # A lock on the folder stays valid when the file is replaced, and leaves no file behind.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # NFS locks no folder, and a stolen key must be replaced there too
            fcntl.flock(folder, fcntl.LOCK_EX)
        keys = _members(path)
        yield keys
        _write(path, keys)
    finally:
        os.close(folder)


def _tokens_until(path: Path, key: dict[str, Any], lives: TokenLives) -> datetime | None:
    """Return when the last token made with the key expires; None if it was never in use."""
    unused_since = _moment(key, _UNUSED_SINCE)
    if unused_since is None:
        if _moment(key, _CREATED) is not None:
            return None
        unused_since = _modified(path)  # another program made it: this bounds its last use
    return unused_since + (lives.session if _is_oct(key) else lives.access) + _FOLLOWED_WITHIN


def describe(path: Path) -> list[str]:
    """Return one line a key, in order: kid, kind, when it was made, its use. No secrets."""
    keys = sorted(_members(path), key=_is_oct)
    return ["  ".join(_words(key, _in_use(keys, key), _modified(path))) for key in keys]


def _words(key: dict[str, Any], in_use: dict[str, Any], modified: datetime) -> Iterator[str]:
    yield thumbprint(key)
    yield "oct" if _is_oct(key) else ALGORITHMS[key["kty"]]
    created, unused_since = _moment(key, _CREATED), _moment(key, _UNUSED_SINCE)
    yield f"made {_text(created)}" if created else f"made before {_text(modified)}"
    if key is in_use:
        yield "binds refresh tokens" if _is_oct(key) else "signs access tokens"
    elif unused_since:
        yield f"not used since {_text(unused_since)}"


def _made(path: Path) -> Mapping[str, float]:
    keys, modified = _members(path), _modified(path)
    return {thumbprint(key): (_moment(key, _CREATED) or modified).timestamp() for key in keys}


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _moment(key: dict[str, Any], member: str) -> datetime | None:
    """Return the instant in a member of our own, in epoch seconds; None without a usable one."""
    try:
        return datetime.fromtimestamp(key[member], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_use(keys: Sequence[dict[str, Any]], like: dict[str, Any]) -> dict[str, Any]:
    return next(key for key in keys if _is_oct(key) == _is_oct(like))


def _members(path: Path) -> list[dict[str, Any]]:
    read_keys(path)  # refuse to change a file that the service would refuse
    return jwk_set_members(_content(path))


def _content(path: Path) -> bytes:
    # The event loop reads it: a pipe would make it wait for ever, and a huge file for seconds.
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
        raise InvalidKey(f"not a file of at most {_MAX_BYTES // 1024} KiB", "not_a_small_file")
    return path.read_bytes().removeprefix(codecs.BOM_UTF8)


def _named(keys: Sequence[dict[str, Any]], kid: str) -> dict[str, Any]:
    for key in keys:
        if thumbprint(key) == kid:
            return key
    raise InvalidKey(f"there is no key {kid}")


def _is_oct(key: dict[str, Any]) -> bool:
    return bool(key["kty"] == "oct")


def _generate(kind: KeyKind, clock: Callable[[], float]) -> dict[str, Any]:
    return {**_new_key(kind), _CREATED: int(clock())}


def _new_key(kind: KeyKind) -> dict[str, Any]:
    match kind:
        case "ES256":
            return ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
        case "EdDSA":
            return OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
        case "RS256":
            return RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, _RSA_BITS), as_dict=True)
        case "oct":
            return {"kty": "oct", "k": secrets.token_urlsafe(_OCT_BYTES)}
        case unreachable:
            assert_never(unreachable)


def _link_new(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise InvalidKey("exists already and is not overwritten") from None
    temporary.unlink()


def _write(
    path: Path,
    keys: Sequence[dict[str, Any]],
    *,
    put: Callable[[Path, Path], object] = Path.replace,
) -> None:
    text = json.dumps({"keys": [{**key, "kid": thumbprint(key)} for key in keys]}, indent=2)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".keys-")  # mode 0600
    try:
        if path.exists():
            # Root may roll over the keys; the service must still be able to read them.
            old = path.stat()
            with suppress(PermissionError):
                os.chown(handle, old.st_uid, old.st_gid)
            os.fchmod(handle, stat.S_IMODE(old.st_mode))
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        put(Path(temporary), path)
    except BaseException:
        Path(temporary).unlink()
        raise


def _stamp(path: Path) -> tuple[int, ...] | None:
    # The time of change covers new owners and modes too. Swapping the link of a mounted secret
    # changes the inode. Two changes within one tick of the clock differ in size.
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ctime_ns, status.st_ino, status.st_size
