"""The samples of examples/verify accept what Ticketgate issues, and nothing else."""

from collections.abc import Iterator

import pytest

from tests.examples.issuer import Issuer, running_issuer
from tests.examples.samples import SAMPLES, Sample, running
from tests.sessions.builders import ec_jwk, make_ring, oct_jwk

pytestmark = pytest.mark.xdist_group("samples")


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name == "PyJWT" else pytest.mark.long) for name in SAMPLES
    ],
)
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of each sample. One that cannot be built is skipped."""
    return SAMPLES[request.param](tmp_path_factory.mktemp("sample") / "built")


@pytest.fixture
def sample(command: list[str], issuer: Issuer) -> Iterator[Sample]:
    with running(command, ISSUER=issuer.url) as sample:
        yield sample


def test_a_sample_accepts_good_tokens_and_refuses_all_others(
    sample: Sample, issuer: Issuer
) -> None:
    good, bad = issuer.good(), issuer.bad()
    verdicts = {name: sample.ask(token) for name, token in (good | bad).items()}
    assert {name: verdicts[name] for name in good} == dict.fromkeys(good, "accept user-1 session-1")
    assert {name: verdicts[name][:6] for name in bad} == dict.fromkeys(bad, "refuse")


def test_the_keys_are_fetched_once_and_once_more_for_unknown_kids(
    sample: Sample, issuer: Issuer
) -> None:
    for _ in range(20):
        assert sample.ask(issuer.token()).startswith("accept")
    assert issuer.fetches == 1
    for number in range(20):
        assert sample.ask(issuer.token({"kid": f"unknown-{number}"})).startswith("refuse")
    assert issuer.fetches == 2


def test_a_key_that_signs_before_the_cache_is_stale_is_found(
    sample: Sample, issuer: Issuer
) -> None:
    sample.ask(issuer.token())
    issuer.ring = make_ring(ec_jwk(), oct_jwk())
    assert sample.ask(issuer.token()).startswith("accept")


def test_the_old_keys_stay_while_the_key_set_cannot_be_fetched(
    sample: Sample, issuer: Issuer
) -> None:
    issuer.max_age = 0
    sample.ask(issuer.token())
    issuer.fails, before = True, issuer.fetches
    for _ in range(5):
        assert sample.ask(issuer.token()).startswith("accept")
    assert issuer.fetches - before == 1


def test_a_token_is_not_judged_before_there_are_keys(sample: Sample, issuer: Issuer) -> None:
    issuer.fails = True
    assert sample.ask(issuer.token()) == "unavailable"
