"""Long lists of inputs as test parameters, of which `make test` takes a sample."""

from collections.abc import Mapping
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

T = TypeVar("T")
SAMPLE = 12


def sampled(table: Mapping[str, T]) -> list[ParameterSet]:
    """Every entry, named by its key. All but about a dozen, evenly spread, are marked `long`.

    For rules that are tested with the whole list at a lower level.
    """
    step = max(1, len(table) // SAMPLE)
    return [
        pytest.param(value, id=name, marks=() if number % step == 0 else pytest.mark.long)
        for number, (name, value) in enumerate(table.items())
    ]
