"""docs/assurance.md tells of the tests that there are. The command that writes it is the check."""

import pytest

from tests.soak.assurance import (
    PAGE,
    Case,
    Chapter,
    Drift,
    Part,
    Row,
    case_of,
    collect,
    page,
    proofs_of,
    read,
)

DRIP = "tests/upstream/test_faults.py::test_trouble_has_a_name[U7-drip-header]"
ROWS = Chapter("Hazards", (Part("Authing fails", (Row("U7", "a byte a second"),)),))
NONE = Chapter("", ())


def test_the_page_is_up_to_date() -> None:
    written = page(read("matrix.toml"), read("asvs.toml"), collect())

    assert PAGE.read_text("utf-8") == written, "make assurance"


@pytest.mark.parametrize(
    ("node", "ids"),
    [
        (DRIP, {"U7"}),
        ("tests/a.py::test_x[sqlite-T1.4-kid-traversal]", {"T1.4"}),
        ("tests/a.py::test_t11_a_stranger", {"T11"}),
        ("tests/a.py::test_t7_4_two_lengths", {"T7.4"}),
        ("tests/a.py::test_u6_u7_the_deadline[slow]", {"U6", "U7"}),
        ("tests/a.py::test_c10_a_token[U0001F600]", {"C10"}),
        ("tests/a.py::test_s6_a_section_of_the_reference", set()),
        ("tests/sessions/test_s1_to_s16.py::test_s16_a_token[running]", {"S16"}),
        ("tests/a.py::test_x", set()),
    ],
    ids=range(9),  # not their texts, which hold ids
)
def test_an_id_is_found_in_parameters_and_in_names(node: str, ids: set[str]) -> None:
    assert case_of(node).ids == ids


def test_a_row_counts_what_bears_its_id_and_what_it_names() -> None:
    cases = [case_of(DRIP), case_of("tests/a.py::test_x[1]"), case_of("tests/b.py::test_y")]

    assert proofs_of(Row("U7", "", tests=("tests/a.py::test_x",)), cases) == cases[:2]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (Row("U7", "", tests=("tests/gone.py",)), "U7 names what is no test"),
        (Row("U1", ""), "U1 has no test, and no reason why"),
    ],
)
def test_a_row_without_what_it_promises_is_refused(row: Row, complaint: str) -> None:
    with pytest.raises(Drift, match=complaint):
        proofs_of(row, [case_of(DRIP)])


def test_a_row_without_a_test_may_have_a_reason() -> None:
    assert proofs_of(Row("T1.2", "", not_here="elsewhere"), [case_of(DRIP)]) == []


def test_an_id_that_no_row_has_is_refused() -> None:
    stray = Case("tests/a.py", "test_x", frozenset({"U26"}))

    with pytest.raises(Drift, match="U26"):
        page(ROWS, NONE, [case_of(DRIP), stray])


def test_a_new_case_changes_the_page() -> None:
    one, two = [case_of(DRIP)], [case_of(DRIP), case_of(DRIP.replace("header", "body"))]

    assert page(ROWS, NONE, one) != page(ROWS, NONE, two)


def test_tests_that_cannot_be_collected_are_no_page() -> None:
    with pytest.raises(Drift, match="cannot collect"):
        collect("tests/no-such-folder")
