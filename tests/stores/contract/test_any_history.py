"""Random histories: the store has the outcomes of a model, and breaks no promise.

The model is a SQLite store that is opened once; `tests/sessions/test_state_machine.py` compares
that one with a dictionary. The promises of the contract are checked besides.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from app.sessions.models import Ban, End, EndReason, GivenProof, Proof, Session
from app.sessions.outcomes import Active, Ended, ProofRefused, Replayed, Reused, Rotated, Unknown
from app.sessions.ports import Rotation, Stores
from app.stores.sqlite import open_sqlite_store
from tests.stores.builders import (
    DAY,
    HOUR,
    IDLE,
    NOW,
    SECOND,
    WINDOW,
    ban_of,
    keep,
    make_session,
    rotation_of,
)
from tests.stores.factories import StoreFactory
from tests.support.proofs import proof_of

Outcome: TypeAlias = (
    Rotated
    | Replayed
    | Reused
    | ProofRefused
    | Active
    | Ended
    | Unknown
    | Sequence[Session | str | Ban]
    | int
    | None
)


@dataclass(frozen=True)
class Moment:
    """The session, generation and time of a command."""

    session_id: str
    generation: int
    now: datetime
    proof: GivenProof

    @property
    def user(self) -> str:
        return user_of(self.session_id)

    def rotation(self, window: timedelta) -> Rotation:
        rotation = rotation_of(
            self.generation, session_id=self.session_id, at=self.now, window=window
        )
        return replace(rotation, proof=self.proof)


def user_of(session_id: str) -> str:
    return f"user of {session_id}"


async def lift_ban(store: Stores, at: Moment) -> None:
    await store.bans.lift(at.user, at.now)


async def bans_of(store: Stores, at: Moment) -> Sequence[Ban]:
    """Other users have later or earlier clocks, and stay banned."""
    return [ban for ban in await store.bans.list_bans(at.now) if ban.subject == at.user]


VERBS: dict[str, Callable[[Stores, Moment], Awaitable[Outcome]]] = {
    "rotate": lambda store, at: store.sessions.rotate(at.rotation(WINDOW)),
    "rotate strictly": lambda store, at: store.sessions.rotate(at.rotation(0 * DAY)),
    "touch": lambda store, at: store.sessions.touch(at.session_id, at.generation, at.now),
    "end": lambda store, at: store.sessions.end(
        at.session_id, at.user, End(EndReason.LOGGED_OUT, at.now)
    ),
    "end all": lambda store, at: store.sessions.end_all(at.user, End(EndReason.KICKED, at.now)),
    "erase": lambda store, at: store.sessions.erase(at.user, at.now),
    "ban": lambda store, at: store.bans.put(ban_of(at.user, at=at.now, until=at.now + HOUR)),
    "lift": lift_ban,
    "list bans": bans_of,
    "list": lambda store, at: store.sessions.active_sessions(at.user, at.now),
    "purge": lambda store, at: store.maintenance.purge(at.now),
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

    def check(self, outcome: Outcome, now: datetime) -> None:
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


async def follow(store: Stores, model: Stores, session_id: str, steps: list[Step]) -> None:
    now, promises = NOW, Promises()
    session = make_session(session_id, subject=user_of(session_id))
    await asyncio.gather(keep(store, session), keep(model, session))
    for step in steps:
        now += step.pause
        generation = max(0, promises.generation + step.offset)
        command, moment = VERBS[step.verb], Moment(session_id, generation, now, step.proof)
        outcome = await command(store, moment)
        assert outcome == await command(model, moment)
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
