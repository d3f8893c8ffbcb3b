"""A table of forgeries: classes of named vectors, each of which becomes one named test."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import pytest

F = TypeVar("F")
Vectors: TypeAlias = Mapping[str, Callable[[F], str]]
Table: TypeAlias = Mapping[str, Vectors[F]]


def cases(table_id: str, table: Table[F], *, but: frozenset[str] = frozenset()) -> list[Any]:
    """The rows as parameters `name` and `make`; `pytest -k T1.4-kid-traversal` runs one."""
    return [
        pytest.param(name, make, id=f"{table_id}-{name}")
        for vectors in table.values()
        for name, make in vectors.items()
        if name not in but
    ]


def counts(table: Table[F]) -> dict[str, int]:
    return {title: len(vectors) for title, vectors in table.items()}


def names(table: Table[F]) -> list[str]:
    return [name for vectors in table.values() for name in vectors]
