"""Runs a sandbox on a separate port: `python -m app.sandbox --port 0 --pool ID --secret S`.

For tests that need a fake Authing in another process. Loopback only.
"""

import argparse
import contextlib
import socket
import sys
from collections.abc import Sequence

import uvicorn

from app.sandbox import SandboxOptions, create_sandbox


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Prints the URL once connections are accepted."""
    parser = argparse.ArgumentParser(prog="python -m app.sandbox", description="A fake Authing.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--pool", required=True, help="the user pool's id")
    parser.add_argument("--secret", required=True, help="the user pool's secret (a made-up one)")
    given = parser.parse_args(arguments)
    options = SandboxOptions(user_pool_id=given.pool, user_pool_secret=given.secret)
    config = uvicorn.Config(create_sandbox(options).app, log_level="warning")
    with socket.create_server(("127.0.0.1", given.port)) as listener:
        port = listener.getsockname()[1]
        sys.stdout.write(f"sandbox listening on http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
