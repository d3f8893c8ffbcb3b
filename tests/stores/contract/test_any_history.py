"""Random histories: the store answers as the model does, and no promise is broken.

The model is the fake store. As two things can be wrong alike, what the contract promises is
checked beside it.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Literal, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from app.sessions.models import Ending
from app.sessions.ports import (
    Active,
    Ended,
    Replayed,
    Reused,
    Rotated,
    SessionStore,
    Unknown,
)
from tests.fakes import FakeStore
from tests.stores.builders import DAY, HOUR, IDLE, NOW, SECOND, WINDOW, make_session, rotation_of
from tests.stores.factories import StoreFactory

Verb: TypeAlias = Literal["rotate", "rotate strictly", "see", "end", "purge"]
Outcome: TypeAlias = Rotated | Replayed | Reused | Active | Ended | Unknown | bool | int

VERBS: list[Verb] = [
    "rotate",
    "rotate",
    "rotate",
    "rotate",
    "see",
    "rotate strictly",
    "end",
    "purge",
]
PAUSES = [0 * SECOND, SECOND, HOUR, WINDOW - SECOND, WINDOW, IDLE - SECOND, IDLE, 7 * DAY]
OFFSETS = [0, 0, 0, -1, -1, -2, 1, 2]


@dataclass(frozen=True)
class Step:
    """One command after a pause; `offset` is from the newest generation that was told."""

    verb: Verb
    offset: int
    pause: timedelta


STEPS = st.builds(Step, st.sampled_from(VERBS), st.sampled_from(OFFSETS), st.sampled_from(PAUSES))


async def send(
    store: SessionStore, verb: Verb, session_id: str, generation: int, now: datetime
) -> Outcome:
    match verb:
        case "rotate":
            return await store.rotate(rotation_of(generation, session_id=session_id, at=now))
        case "rotate strictly":
            strict = rotation_of(generation, session_id=session_id, at=now, window=0 * DAY)
            return await store.rotate(strict)
        case "see":
            return await store.see(session_id, generation, now)
        case "end":
            return await store.end(session_id, Ending.LOGGED_OUT, now)
        case "purge":
            return await store.purge(now)


@dataclass
class Promises:
    """What holds in every history of a session."""

    generation: int = 0
    ending: Ending | None = None

    def check(self, outcome: Outcome, now: datetime) -> None:
        match outcome:
            case Rotated(session) | Replayed(session) | Active(session):
                assert self.ending is None, "an ended session came back"
                assert session.generation >= self.generation, "a generation was counted back"
                assert now < session.expires_at <= session.absolute_expires_at
                self.generation = session.generation
            case Ended(reason):
                assert self.ending in {None, reason}, "the ending changed its name"
                self.ending = reason
            case Reused():
                assert self.ending is None, "an ended session ended again"
                self.ending = Ending.REFRESH_REUSED
            case _:
                pass


async def follow(store: SessionStore, model: FakeStore, session_id: str, steps: list[Step]) -> None:
    now, promises = NOW, Promises()
    session = make_session(session_id)
    await asyncio.gather(store.add(session), model.add(session))
    for step in steps:
        now += step.pause
        generation = max(0, promises.generation + step.offset)
        outcome = await send(store, step.verb, session_id, generation, now)
        assert outcome == await send(model, step.verb, session_id, generation, now)
        promises.check(outcome, now)


def test_any_history_is_answered_as_the_model_does(factory: StoreFactory, folder: Path) -> None:
    model, numbers = FakeStore(), count()
    with asyncio.Runner() as runner:
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
