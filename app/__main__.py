"""The command line: `python -m app serve | sandbox | check | keys`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.errors import StartupError
from app.keyfile import KEY_KINDS
from app.server import hardening

_REFUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A refusal is one line on stderr and code 2."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except StartupError as error:
        print(f"ticketgate: {error}", file=sys.stderr)  # noqa: T201  # there is no log yet
        return _REFUSED


def _run(options: argparse.Namespace) -> int:
    # Imported here, so that a command loads only the modules it needs, and production never loads
    # the sandbox.
    match options.command:
        case "serve":
            from app.commands import serve  # noqa: PLC0415

            return serve.run()
        case "sandbox":
            from app.commands import sandbox  # noqa: PLC0415

            return sandbox.run()
        case "check":
            from app.commands import check  # noqa: PLC0415

            return check.run()
        case _:
            from app.commands import keys  # noqa: PLC0415

            return keys.run(options.action, options.file, kind=options.alg, kid=options.kid)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="the production server; settings from the environment")
    commands.add_parser("sandbox", help="the same server against a built-in fake Authing")
    commands.add_parser("check", help="will this configuration work?")
    keys = commands.add_parser("keys", help="make the key file and roll its keys over")
    keys.set_defaults(kid="", alg="ES256")
    keys.add_argument("--file", type=Path, help="the key file (default: SESSION_KEYS_FILE)")
    actions = keys.add_subparsers(dest="action", required=True)
    new = actions.add_parser("new", help="make the file; never overwrites")
    new.add_argument("--alg", choices=KEY_KINDS[:-1], default="ES256")
    add = actions.add_parser("add", help="publish a key without using it; oct binds refresh tokens")
    add.add_argument("--alg", choices=KEY_KINDS, default="ES256")
    for name, text in (("promote", "use a key from now on"), ("retire", "drop an unused key")):
        # A kid may begin with "-" and must not be read as an option.
        command = actions.add_parser(name, help=text, prefix_chars="+", add_help=False)
        command.add_argument("kid")
    actions.add_parser("list", help="show the keys, without their secrets")
    return parser


if __name__ == "__main__":
    hardening.disable_core_dumps()
    sys.exit(main())
