"""Reading a request's body as one JSON object."""

import json
from typing import Any


def json_object(body: bytes) -> dict[str, Any] | None:
    """Decode one JSON object; None if the body is anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
