"""The key file on disk: create it, and roll its keys over.

The file is a private JWK Set (RFC 7517) that only its owner can read. It is replaced in one step,
so a reader never sees half of it. `app.jose.key_ring` knows the meaning of its keys.
"""

import codecs
import fcntl
import json
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias, assert_never

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.errors import StartupError
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
_FOLLOWED_WITHIN = timedelta(seconds=60)  # by then every instance signs with a promoted key


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn an error of the file into a StartupError."""
    try:
        yield
    except (OSError, InvalidKey) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StartupError(f"SESSION_KEYS_FILE: {path}: {reason}") from error


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
    _write(path, keys, new=True)
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
    """Remove a key, unless it is in use, or with these `lives` a token of it may be valid."""
    with _changed(path) as keys:
        chosen = _named(keys, kid)
        if chosen is _in_use(keys, chosen):
            raise InvalidKey(f"{kid} is in use; promote another key first")
        until = _tokens_until(path, chosen, lives) if lives else None
        if until is not None and clock() < until.timestamp():
            message = f"tokens of {kid} may be valid until {_text(until)}; --force retires it now"
            raise InvalidKey(message)
        keys.remove(chosen)


def created(content: bytes, before: datetime) -> dict[tuple[str, ...], float]:
    """Return when each key, or else its file, was made, in epoch seconds, by kid, use and state."""
    keys = jwk_set_members(content)
    return {
        (
            thumbprint(key),
            "secret" if _is_oct(key) else "sign",
            "current" if key is _in_use(keys, key) else "accepted",
        ): (_moment(key, _CREATED) or before).timestamp()
        for key in keys
    }


def describe(path: Path) -> list[str]:
    """Return one line a key, in order: kid, kind, when it was made, its use. No secrets."""
    keys, lines = sorted(_members(path), key=_is_oct), []
    for key in keys:
        created, unused_since = _moment(key, _CREATED), _moment(key, _UNUSED_SINCE)
        made = f"made {_text(created)}" if created else f"made before {_text(modified(path))}"
        words = [thumbprint(key), "oct" if _is_oct(key) else ALGORITHMS[key["kty"]], made]
        if key is _in_use(keys, key):
            words.append("binds refresh tokens" if _is_oct(key) else "signs access tokens")
        elif unused_since:
            words.append(f"not used since {_text(unused_since)}")
        lines.append("  ".join(words))
    return lines


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
        unused_since = modified(path)  # another program made it: this bounds its last use
    return unused_since + (lives.session if _is_oct(key) else lives.access) + _FOLLOWED_WITHIN


def modified(path: Path) -> datetime:
    """Return when the file was written."""
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


def _named(keys: Sequence[dict[str, Any]], kid: str) -> dict[str, Any]:
    for key in keys:
        if thumbprint(key) == kid:
            return key
    raise InvalidKey(f"there is no key {kid}")


def _is_oct(key: dict[str, Any]) -> bool:
    return bool(key["kty"] == "oct")


def _members(path: Path) -> list[dict[str, Any]]:
    content = read_content(path)
    KeyRing.from_jwk_set(content)  # refuse to change a file that the service would refuse
    return jwk_set_members(content)


def read_content(path: Path) -> bytes:
    """Read the file; raise OSError or InvalidKey if it is no small file."""
    # The event loop reads it: a pipe would make it wait for ever, and a huge file for seconds.
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
        raise InvalidKey(f"not a file of at most {_MAX_BYTES // 1024} KiB", "not_a_small_file")
    return path.read_bytes().removeprefix(codecs.BOM_UTF8)


def _generate(kind: KeyKind, clock: Callable[[], float]) -> dict[str, Any]:
    match kind:
        case "ES256":
            key = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
        case "EdDSA":
            key = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
        case "RS256":
            key = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, _RSA_BITS), as_dict=True)
        case "oct":
            key = {"kty": "oct", "k": secrets.token_urlsafe(_OCT_BYTES)}
        case unreachable:
            assert_never(unreachable)
    return {**key, _CREATED: int(clock())}


def _write(path: Path, keys: Sequence[dict[str, Any]], *, new: bool = False) -> None:
    """Write the file in one step. A new one is never written over another."""
    text = json.dumps({"keys": [{**key, "kid": thumbprint(key)} for key in keys]}, indent=2)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".keys-")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            if not new:
                # Root may roll over the keys; the service must still be able to read them.
                old = path.stat()
                with suppress(PermissionError):
                    os.chown(handle, old.st_uid, old.st_gid)
                os.fchmod(handle, stat.S_IMODE(old.st_mode))
            file.write(text + "\n")
            file.flush()
            os.fsync(handle)
        if new:
            path.hardlink_to(temporary)  # unlike a rename, it fails if the file exists by now
        else:
            temporary.replace(path)
    except FileExistsError:
        raise InvalidKey("exists already and is not overwritten") from None
    finally:
        temporary.unlink(missing_ok=True)
