"""JSON documents in the classes of the well-known test suites for parsers.

`n`: a parser must refuse it (RFC 8259). `y`: a parser must accept it. `i`: RFC 8259 leaves it to
the parser; ours refuses most of them. A name tells the class, the peculiarity and the position.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

_POSITIONS = {"alone": "%s", "item": "[1, %s]", "member": '{"a": %s}'}
_IN_EVERY_POSITION = ("number", "string", "literal")
_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
_TABLES["n-structure"] |= {
    "deep-and-open": "[" * 1000,
    "deep-objects-and-open": '{"a":' * 1000,
    "deep-and-wrong": '[{"":' * 500,
}
_TABLES["y-number"]["close-to-zero"] = "0." + "0" * 70 + "1"
_TABLES["y-object"]["long-key"] = '{"%s": 0}' % ("x" * 40)


def _documents(prefix: str) -> Iterator[tuple[str, bytes]]:
    for table, texts in _TABLES.items():
        for peculiarity, text in texts.items() if table.startswith(prefix) else ():
            if table.endswith(_IN_EVERY_POSITION):
                for position, around in _POSITIONS.items():
                    yield f"{table}-{peculiarity}-{position}", (around % text).encode()
            else:
                yield f"{table}-{peculiarity}", text.encode()


def _bytes(table: str) -> dict[str, bytes]:
    """The documents of a table that gives each byte as one character."""
    return {name: text.encode("latin-1") for name, text in _TABLES.pop(table).items()}


STRICTER = _bytes("stricter")
"""Valid JSON that we refuse: parsers read it in two ways, or it exhausts them."""
DIFFERS = _bytes("differs") | {
    "i-number-huge": b"[" + b"9" * 5000 + b"]",
    "i-structure-500-levels": b"[" * 500 + b"]" * 500,
    "i-structure-2000-levels": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "i-structure-4000-levels": b"[" * 4000 + b"]" * 4000,
}
NO = {f"n-bytes-{name}": data for name, data in _bytes("n-bytes").items()}
NO |= {f"n-object-key-{name}": b"{%b: 1}" % t.encode() for name, t in _TABLES["n-string"].items()}
NO |= dict(_documents("n-"))
YES = dict(_documents("y-"))
REFUSED = NO | STRICTER | DIFFERS
