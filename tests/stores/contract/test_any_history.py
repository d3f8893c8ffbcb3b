"""Random histories: the store has the outcomes of a model, and breaks no promise.

The model is a SQLite store that is opened once; `tests/sessions/test_state_machine.py` compares
that one with a dictionary. The promises of the contract are checked besides.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from app.sessions.models import Ban, EndReason, GivenProof, Proof, Session
from app.sessions.outcomes import Active, Ended, Replayed, Reused, Rotated
from app.sessions.ports import Stores
from app.stores.sqlite import open_sqlite_store
from tests.stores.builders import DAY, HOUR, IDLE, NOW, SECOND, WINDOW, ban_of
from tests.stores.factories import StoreFactory
from tests.stores.steps import Act, add, end, end_all, erase, lift, purge, put, rotate, run, touch
from tests.support.proofs import proof_of


@dataclass(frozen=True)
class Moment:
    """The session (and its user, of the same name), generation and time of a command."""

    name: str
    generation: int
    now: datetime
    proof: GivenProof

    def rotate(self, window: timedelta) -> Act:
        more = {"session_id": self.name, "window": window, "proof": self.proof}
        return rotate(self.generation, self.now, **more)


def bans_of(at: Moment) -> Act:
    """Other users have later or earlier clocks, and stay banned."""

    async def bans(store: Stores) -> Sequence[Ban]:
        return [ban for ban in await store.bans.list_bans(at.now) if ban.subject == at.name]

    return bans


VERBS: dict[str, Callable[[Moment], Act]] = {
    "rotate": lambda at: at.rotate(WINDOW),
    "rotate strictly": lambda at: at.rotate(0 * DAY),
    "touch": lambda at: touch(at.generation, at.now, at.name),
    "end": lambda at: end(at=at.now, session_id=at.name, subject=at.name),
    "end all": lambda at: end_all(at=at.now, subject=at.name),
    "erase": lambda at: erase(at.now, at.name),
    "ban": lambda at: put(ban_of(at.name, at=at.now, until=at.now + HOUR)),
    "lift": lambda at: lift(at.name, at.now),
    "list bans": bans_of,
    "list": lambda at: lambda store: store.sessions.active_sessions(at.name, at.now),
    "purge": lambda at: purge(at.now),
}
EXPIRED = EndReason.EXPIRED  # the one ending that is not written, so that a later one may be
LIKELY = [*["rotate"] * 6, *["touch"] * 2, *VERBS]
PAUSES = [0 * SECOND, SECOND, HOUR, WINDOW - SECOND, WINDOW, IDLE - SECOND, IDLE, 7 * DAY]
OFFSETS = [0, 0, 0, -1, -1, -2, 1, 2]


@dataclass(frozen=True)
class Step:
    """One command after a pause, with a proof; `offset` is from the newest generation returned."""

    verb: str
    offset: int
    pause: timedelta
    proof: GivenProof


PROOFS: list[GivenProof] = ["missing", "ignored", Proof("key-a", ""), proof_of("key-b")]
STEPS = st.builds(
    Step,
    st.sampled_from(LIKELY),
    st.sampled_from(OFFSETS),
    st.sampled_from(PAUSES),
    st.sampled_from([*["missing"] * 20, *PROOFS, *(proof_of(jti=n) for n in range(12))]),
)


@dataclass
class Promises:
    """What holds in every history of a session."""

    generation: int = 0
    ending: EndReason | None = None

    def check(self, outcome: object, now: datetime) -> None:
        match outcome:
            case Rotated(session) | Replayed(session) | Active(session):
                assert self.ending is None, "an ended session came back"
                assert session.generation >= self.generation, "a generation was counted back"
                assert now < session.expires_at <= session.absolute_expires_at
                self.generation = session.generation
            case Ended(reason):
                assert self.ending in {None, EXPIRED, reason}, "the ending changed its name"
                self.ending = reason
            case Reused():
                assert self.ending is None, "an ended session ended again"
                self.ending = EndReason.REFRESH_REUSED
            case [Session() as listed]:
                assert self.ending is None, "an ended session is listed"
                assert listed.generation == self.generation
            case [str()]:
                assert self.ending in {None, EXPIRED}, "an ended session ended again"
            case _:
                pass


async def follow(store: Stores, model: Stores, name: str, steps: list[Step]) -> None:
    now, promises = NOW, Promises()
    await asyncio.gather(*(run(each, add(name, subject=name)) for each in (store, model)))
    for step in steps:
        now += step.pause
        generation = max(0, promises.generation + step.offset)
        act = VERBS[step.verb](Moment(name, generation, now, step.proof))
        outcome = await act(store)
        assert outcome == await act(model)
        promises.check(outcome, now)


def test_any_history_has_the_outcomes_of_the_model(factory: StoreFactory, folder: Path) -> None:
    numbers = count()
    with asyncio.Runner() as runner, open_sqlite_store(folder / "model.db") as model:
        opened = factory(folder)
        store = runner.run(opened.__aenter__())

        @settings(max_examples=80, deadline=None)
        @given(st.lists(STEPS, min_size=1, max_size=12))
        def property_holds(steps: list[Step]) -> None:
            runner.run(follow(store, model, f"session-{next(numbers)}", steps))

        try:
            property_holds()
        finally:
            runner.run(opened.__aexit__(None, None, None))
