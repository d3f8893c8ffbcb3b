"""docs/capacity.md states the assumptions that its plan is computed from."""

import re
from pathlib import Path

from benchmarks import plan


def test_the_page_states_the_assumptions_of_the_plan(root: Path) -> None:
    page = (root / "docs" / "capacity.md").read_text("utf-8")
    table = page.partition("| assumption | value |")[2].partition("\n\n")[0]

    stated = re.findall(r"^\| [^|]+ \| ([\d.]+)( %)?", table, re.MULTILINE)

    assert [float(value) / (100 if percent else 1) for value, percent in stated] == [
        plan.ACTIVE,
        *plan.PER_DAY.values(),
        plan.PEAK,
        plan.BUSY,
        plan.STORED,
    ]
