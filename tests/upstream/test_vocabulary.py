"""What operators are told about an exchange is a closed set of words, and all are explained."""

from pathlib import Path
from typing import get_args

import pytest

from app.authing.client_errors import Outcome
from tests.upstream.test_faults import FAULTS

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("word", get_args(Outcome))
def test_every_outcome_is_in_the_readme(word: str) -> None:
    assert f"`{word}`" in README.read_text(encoding="utf-8")


def test_every_fault_is_told_by_a_word_of_the_set() -> None:
    refusals = {"ok", "ticket_rejected", "account_blocked"}
    assert {fault.told.outcome for fault in FAULTS} <= refusals | set(get_args(Outcome))
