"""Port numbers that are ours alone, for servers that must come back on the port they had.

The numbers lie below the range from which systems take the ports of outgoing connections, so that
none of those sits on the port of a server that is down for the moment.
"""

import secrets
import socket

_FIRST = 10_000
_COUNT = 20_000


def reserve() -> socket.socket:
    """Reserve a TCP port of 127.0.0.1 until the returned socket is closed.

    That socket is bound to the *UDP* port of the same number, which is not used here. It keeps
    other test runs away, whatever happens to the TCP port meanwhile, and goes with the process.
    """
    while True:
        number = _FIRST + secrets.randbelow(_COUNT)
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", number))
            socket.create_server(("127.0.0.1", number)).close()
        except OSError:
            mark.close()  # somebody's: try another
        else:
            return mark


def number(reserved: socket.socket) -> int:
    return int(reserved.getsockname()[1])
