"""The command line: `python -m app init | serve | sandbox | check | keys | explain`."""

import argparse
import ctypes
import re
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from app import __version__
from app.errors import StartupError
from app.keyfile import KEY_KINDS

_REFUSED = 2
_ID = "id:"
_PR_SET_DUMPABLE = 4
_ACTIONS = {
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
    options = _parser().parse_args([_mark_id(argument) for argument in given])
    try:
        return _run(options)
    except StartupError as error:
        print(f"ticketgate: {error}", file=sys.stderr)  # noqa: T201  # there is no log yet
        return _REFUSED


def _run(options: argparse.Namespace) -> int:
    # Imported here, so that a command loads only the modules it needs, and production never loads
    # the sandbox.
    match options.command:
        case "init":
            from app.commands import init  # noqa: PLC0415

            return init.run()
        case "serve":
            from app.commands import serve  # noqa: PLC0415

            return serve.run()
        case "sandbox":
            from app.commands import sandbox  # noqa: PLC0415

            return sandbox.run(options.host, options.folder, grade=options.grade)
        case "check":
            from app.commands import check  # noqa: PLC0415

            return check.run(options.token_file)
        case "explain":
            from app.commands import explain  # noqa: PLC0415

            return explain.run(options.name, as_json=options.json)
        case _:
            from app.commands import keys  # noqa: PLC0415

            return keys.run(
                options.action,
                options.file,
                kind=options.alg,
                kid=getattr(options, "kid", ""),
                force=options.force,
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    parser.add_argument("--version", action="version", version=f"ticketgate {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init", help="write .env by four questions, make the key file, and check")
    commands.add_parser("serve", help="the production server; settings from the environment")
    sandbox = commands.add_parser("sandbox", help="the same server against a built-in fake Authing")
    text = "address to listen on; everyone who reaches it can log in (default: 127.0.0.1)"
    sandbox.add_argument("--host", default="127.0.0.1", help=text)
    text = "where its folder sandbox-data lies (default: the current folder)"
    sandbox.add_argument("--folder", type=Path, default=Path(), help=text)
    text = "grade an app by its requests (docs/sandbox.md)"
    sandbox.add_argument("--grade", action="store_true", help=text)
    check = commands.add_parser("check", help="will this configuration work?")
    text = "verify the token of a user, as Authing returns it, and name the secret that signs it"
    check.add_argument("--token-file", type=Path, help=text)
    explain = commands.add_parser("explain", help="what happened to a user's sessions, and why")
    explain.add_argument("name", type=_unmark_id, help="id of a user (sub) or of a session")
    explain.add_argument("--json", action="store_true", help="print JSON, as the API returns it")
    keys = commands.add_parser("keys", help="make the key file and roll its keys over")
    _add_key_options(keys, file=None, alg="ES256")
    keys.add_argument("--force", action="store_true", help="let retire end tokens that are valid")
    actions = keys.add_subparsers(dest="action", required=True)
    for name, text in _ACTIONS.items():
        action = actions.add_parser(name, help=text)
        # Without a default here, an option before the action keeps its value.
        _add_key_options(action, file=argparse.SUPPRESS, alg=argparse.SUPPRESS)
        if name in ("promote", "retire"):
            action.add_argument("kid", type=_unmark_id)
        if name == "retire":
            action.add_argument("--force", action="store_true", default=argparse.SUPPRESS)
    return parser


def _add_key_options(parser: argparse.ArgumentParser, *, file: object, alg: object) -> None:
    text = "the key file (default: SESSION_KEYS_FILE)"
    parser.add_argument("--file", type=Path, default=file, help=text)
    text = "of new and add; oct, which binds refresh tokens, of add only (default: ES256)"
    parser.add_argument("--alg", choices=KEY_KINDS, default=alg, help=text)


def _mark_id(argument: str) -> str:
    """Mark a thumbprint (RFC 7638) or the id of a session: with a "-" at first, it is no option."""
    return (
        _ID + argument if re.fullmatch(r"-([\w-]{42}|[\w-]{21})", argument, re.ASCII) else argument
    )


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
