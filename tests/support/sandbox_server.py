"""A fake Authing in a process of its own; it prints its URL once it accepts connections."""

import contextlib
import socket
import sys

import uvicorn

from app.sandbox import SandboxOptions, create_sandbox


def main(pool: str, secret: str) -> None:
    options = SandboxOptions(user_pool_id=pool, user_pool_secret=secret)
    config = uvicorn.Config(create_sandbox(options).app, log_level="warning")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sys.stdout.write(f"sandbox listening on http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
