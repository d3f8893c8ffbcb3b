"""The command line: `python -m app init | serve | sandbox | check | keys | explain`."""

import argparse
import ctypes
import re
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from app import __version__, commands
from app.errors import StartupError
from app.keyfile import KEY_KINDS

_REFUSED = 2
_ID = "id:"
_PR_SET_DUMPABLE = 4
_KEY_ACTIONS = {
    "new": "make the file; never overwrites",
    "add": "publish a key without using it",
    "promote": "use a key from now on",
    "retire": "drop a key that is not used and whose tokens have expired",
    "list": "show the keys, without their secrets",
    "service": "print a new key for SERVICE_API_KEYS",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A refusal is one line on stderr and code 2."""
    given = sys.argv[1:] if arguments is None else arguments
    options = vars(_parser().parse_args([_mark_id(argument) for argument in given]))
    try:
        # Only its module is imported: production never loads the sandbox.
        command = import_module(f"{commands.__name__}.{options.pop('command')}")
        code: int = command.run(**options)
    except StartupError as error:
        print(f"ticketgate: {error}", file=sys.stderr)  # there is no log yet
        return _REFUSED
    return code


def _parser() -> argparse.ArgumentParser:
    """Return the parser. Its result has the command, and the arguments of that module's `run`."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    parser.add_argument("--version", action="version", version=f"ticketgate {__version__}")
    add = parser.add_subparsers(dest="command", required=True).add_parser
    add("init", help="write .env by four questions, make the key file, and check")
    add("serve", help="the production server; settings from the environment")
    sandbox = add("sandbox", help="the same server against a built-in fake Authing")
    text = "address to listen on; everyone who reaches it can log in (default: 127.0.0.1)"
    sandbox.add_argument("--host", default="127.0.0.1", help=text)
    text = "where its folder sandbox-data lies (default: the current folder)"
    sandbox.add_argument("--folder", type=Path, default=Path(), help=text)
    text = "grade an app by its requests (docs/sandbox.md)"
    sandbox.add_argument("--grade", action="store_true", help=text)
    check = add("check", help="will this configuration work?")
    text = "verify the token of a user, as Authing returns it, and name the secret that signs it"
    check.add_argument("--token-file", type=Path, help=text)
    explain = add("explain", help="what happened to a user's sessions, and why")
    explain.add_argument("name", type=_unmark_id, help="id of a user (sub) or of a session")
    text = "print JSON, as the API returns it"
    explain.add_argument("--json", dest="as_json", action="store_true", help=text)
    keys = add("keys", help="make the key file and roll its keys over", parents=[_key_options()])
    keys.set_defaults(file=None, alg="ES256", force=False)
    actions = keys.add_subparsers(dest="action", required=True)
    for name, text in _KEY_ACTIONS.items():
        action = actions.add_parser(name, help=text, parents=[_key_options()])
        if name in ("promote", "retire"):
            action.add_argument("kid", type=_unmark_id)
    return parser


def _key_options() -> argparse.ArgumentParser:
    """Return the options that may stand before or after the action.

    They have no default: that of the action would replace a value that stands before it.
    """
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help="the key file (default: SESSION_KEYS_FILE)")
    text = "of new and add; oct, which binds refresh tokens, of add only (default: ES256)"
    options.add_argument("--alg", choices=KEY_KINDS, help=text)
    text = "of retire: also end tokens that are valid"
    options.add_argument("--force", action="store_true", help=text)
    return options


def _mark_id(argument: str) -> str:
    """Mark a thumbprint (RFC 7638) or the id of a session: with a "-" at first, it is no option."""
    is_id = re.fullmatch(r"-([\w-]{42}|[\w-]{21})", argument, re.ASCII)
    return _ID + argument if is_id else argument


def _unmark_id(argument: str) -> str:
    return argument.removeprefix(_ID)


def disable_core_dumps() -> None:
    """Forbid core dumps and, to all but root, reading the memory: it holds keys and tokens.

    The limit alone is not enough: where `core_pattern` is a pipe, as with systemd-coredump, the
    kernel ignores the limit, and a container has the pattern of its host. A process that is not
    dumpable (Linux, prctl(2)) is dumped in neither case, and its `/proc/<pid>/mem` and `environ`
    are closed to other processes of the same user. Programs that it starts are dumpable again,
    but keep the limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


if __name__ == "__main__":
    disable_core_dumps()
    sys.exit(main())
