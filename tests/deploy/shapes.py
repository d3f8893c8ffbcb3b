"""What the fixtures of this folder hand out."""

from collections.abc import Callable
from typing import Any, TypeAlias

from app.config import Settings

Manifests: TypeAlias = dict[str, dict[str, Any]]
Load: TypeAlias = Callable[[type[Settings], dict[str, str]], Settings]
