"""A table of forgeries: classes of named forgeries."""

from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

F = TypeVar("F")
Forgeries: TypeAlias = Mapping[str, Callable[[F], str]]
Table: TypeAlias = Mapping[str, Forgeries[F]]


def rows(table: Table[F]) -> Forgeries[F]:
    """All forgeries by name; a name that occurs twice is an error."""
    named = {name: make for forgeries in table.values() for name, make in forgeries.items()}
    assert len(named) == sum(map(len, table.values()))
    return named
