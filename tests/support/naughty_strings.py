"""Texts that have broken software, in the classes of the well-known lists."""

import json
from pathlib import Path

_CLASSES: dict[str, list[str]] = json.loads(
    Path(__file__).with_suffix(".json").read_text("utf-8")
) | {
    "controls": [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))],
    "long": ["a" * 255, "a" * 256, "a" * 1024, "\u5c0f" * 600, "\U0001f600" * 400, "," * 600],
}
NAUGHTY = {
    f"{name}-{number}": text
    for name, texts in _CLASSES.items()
    for number, text in enumerate(texts, start=1)
}
