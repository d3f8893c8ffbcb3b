"""What operators are told about an exchange is a closed set of words, and all are explained."""

from pathlib import Path
from typing import get_args

import pytest

from app.authing.result import Outcome
from tests.upstream.test_faults import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.mark.parametrize("word", get_args(Outcome))
def test_every_outcome_is_explained_for_operators(word: str) -> None:
    assert f"`{word}`" in PAGE.read_text(encoding="utf-8")


def test_every_fault_is_told_by_a_word_of_the_set() -> None:
    refusals = {"ok", "ticket_rejected", "account_blocked"}
    assert {fault.told.outcome for fault in FAULTS} <= refusals | set(get_args(Outcome))
