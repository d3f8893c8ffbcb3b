"""A fake Authing in a process of its own; it prints its URL once it accepts connections.

Its arguments are the pool id, the pool secret, and optionally a port (default 0: any free port).
"""

import contextlib
import socket
import sys

import uvicorn

from app.sandbox import Sandbox, SandboxOptions


def main(pool: str, secret: str, port: str = "0") -> None:
    options = SandboxOptions(user_pool_id=pool, user_pool_secret=secret)
    config = uvicorn.Config(Sandbox(options).app, log_level="warning")
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        sys.stdout.write(f"sandbox listening on http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
