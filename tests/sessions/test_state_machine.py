"""Random sequences over the real service and the real store, compared with a dictionary.

The model follows docs/promises.md. Each rule does the same to both and compares the results.
`make states` runs 10,000 sequences of 50 steps, `make test` 60.
"""

import asyncio
import os
import secrets
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from app.errors import (
    AccessSessionEnded,
    AccessTokenExpired,
    AccessTokenInvalid,
    NotFound,
    RefreshSessionEnded,
    RefreshTokenInvalid,
    TicketgateError,
    TicketUsed,
    UserBanned,
)
from app.sessions.issuer import Lifetimes
from app.sessions.login import Login
from app.sessions.models import EndReason, Identity, TokenPair
from app.sessions.ports import TOMBSTONE_TTL, SessionLimits
from app.stores.sqlite import open_sqlite_store
from tests.sessions.builders import SECOND, make_core, make_ring
from tests.support.fakes import START, FakeKeys, RecordedEvents

T = TypeVar("T")
ACCESS, WINDOW = timedelta(minutes=10), timedelta(hours=24)
IDLE, ABSOLUTE = timedelta(days=14), timedelta(days=20)
TICKET_LIFE = timedelta(seconds=150)
PAUSES = [
    *(SECOND, 149 * SECOND, ACCESS, timedelta(hours=1), WINDOW - SECOND, WINDOW),
    *(timedelta(days=6), IDLE - SECOND, IDLE),
]
USERS = ("ada", "bo", "chi")
TYPES = (None, "ios", "android")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a private folder is made inside
RING = make_ring()


@dataclass
class SpendingProvider:
    """Accepts each ticket once; the ticket names its user."""

    clock: Any
    spent: set[str] = field(default_factory=set)

    async def exchange(self, ticket: str, network: str) -> Identity:
        assert ticket not in self.spent, "one ticket was exchanged twice"
        self.spent.add(ticket)
        return Identity(ticket.partition(".")[0], {"nickname": "n"}, self.clock())


@dataclass
class Life:
    """The model of one session."""

    user: str
    type: str | None
    ticket: str
    key: str
    created: datetime
    rotated: datetime
    expires: datetime
    absolute: datetime
    generation: int = 0
    in_use: bool = False
    ending: str | None = None
    replaced_by: str | None = None
    over_since: datetime | None = None
    purged: bool = False
    refresh: dict[int, str] = field(default_factory=dict)

    def state(self, now: datetime) -> str:
        """The reason of its end, or "" while it is active."""
        if self.ending is None and self.expires <= now:
            return "expired"
        return self.ending or ""

    def end(self, reason: str, now: datetime, replaced_by: str | None = None) -> None:
        """End it, unless it has ended. An expiry alone is no end: for another clock it lives."""
        if self.ending is None and not self.purged:
            self.ending, self.over_since, self.replaced_by = reason, now, replaced_by


@dataclass(frozen=True)
class Access:
    token: str
    session: str
    generation: int
    expires: datetime


class Sessions(RuleBasedStateMachine):
    pairs = Bundle("pairs")  # access tokens ever given; with each, its session
    lives = Bundle("lives")  # ids of sessions

    def __init__(self) -> None:
        super().__init__()
        folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self.folder = tempfile.TemporaryDirectory(dir=folder)
        self.runner = asyncio.Runner()
        self.now = START
        self.model: dict[str, Life] = {}
        self.bans: dict[str, datetime | None] = {}
        self.file = Path(self.folder.name) / "sessions.db"
        self.opened = ExitStack()
        self.provider = SpendingProvider(lambda: self.now)

    @initialize(limit=st.sampled_from([2, 1000]), one_per_type=st.booleans())
    def begin(self, limit: int, one_per_type: bool) -> None:  # noqa: FBT001  # hypothesis calls it
        self.limits = SessionLimits(limit, one_per_type)
        self._wire()

    def _wire(self) -> None:
        self.stores = self.opened.enter_context(open_sqlite_store(self.file))
        self.logins, self.sessions, self.banning = make_core(
            self.stores,
            FakeKeys(RING),
            provider=self.provider,
            clock=lambda: self.now,
            events=RecordedEvents(),
            limits=self.limits,
            lifetimes=Lifetimes(IDLE, ABSOLUTE, WINDOW),
        )

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T | TicketgateError:
        try:
            return self.runner.run(coroutine)
        except TicketgateError as error:
            return error

    # --- rules ---

    @rule(target=lives, user=st.sampled_from(USERS), type=st.sampled_from(TYPES))
    def log_in(self, user: str, type: str | None) -> Any:  # noqa: A002  # the strategy's name
        ticket, key = f"{user}.{secrets.token_hex(8)}", secrets.token_hex(8)
        response = self._open(ticket, key, type)
        if self._banned(user):
            assert isinstance(response, UserBanned)
            assert response.until == self.bans[user]
            return multiple()
        assert isinstance(response, TokenPair)
        assert not response.replayed
        self._replace_for(user, type)
        now = self.now
        life = Life(user, type, ticket, key, now, now, now + IDLE, now + ABSOLUTE)
        self.model[response.session.id] = life
        self._check_pair(response, life)
        return response.session.id

    @precondition(lambda self: self._fresh())
    @rule(target=pairs, same_key=st.booleans())
    def log_in_again(self, same_key: bool) -> Any:  # noqa: FBT001  # hypothesis calls it
        session = self._fresh()[-1]  # of an older ticket the provider would say that it is over
        life = self.model[session]
        response = self._open(
            life.ticket, life.key if same_key else secrets.token_hex(8), life.type
        )
        if same_key and life.state(self.now) == "" and life.generation == 0:
            assert isinstance(response, TokenPair)
            assert (response.session.id, response.replayed) == (session, True)
            return self._check_pair(response, life)
        assert isinstance(response, TicketUsed)
        return multiple()

    @precondition(lambda self: any(self._living(user) for user in USERS))
    @rule(target=pairs, pick=st.integers(0, 8), back=st.sampled_from([0, 0, 0, 1, 1, 2, 3]))
    def refresh(self, pick: int, back: int) -> Any:
        living = [s for s, life in self.model.items() if not life.state(self.now)]
        return self._refresh(living[pick % len(living)], back)

    @rule(target=pairs, session=lives, back=st.integers(0, 3))
    def refresh_any(self, session: str, back: int) -> Any:
        return self._refresh(session, back)

    def _refresh(self, session: str, back: int) -> Any:
        life = self.model[session]
        presented = max(life.generation - back, 0)
        response = self.run(self.sessions.refresh(life.refresh[presented]))
        if life.state(self.now):
            assert isinstance(response, RefreshSessionEnded | RefreshTokenInvalid)
            self._check_ending(response, life)
            return multiple()
        if presented == life.generation:
            life.generation += 1
            life.rotated, life.in_use = self.now, False
            life.expires = min(self.now + IDLE, life.absolute)
            assert isinstance(response, TokenPair)
            assert not response.replayed
            return self._check_pair(response, life)
        in_window = not life.in_use and self.now < life.rotated + WINDOW
        if presented == life.generation - 1 and in_window:
            assert isinstance(response, TokenPair)
            assert response.replayed
            return self._check_pair(response, life)
        assert isinstance(response, RefreshSessionEnded)
        assert response.reason == "refresh_reused"
        life.end("refresh_reused", self.now)
        return multiple()

    @rule(access=pairs)
    def look(self, access: Access) -> None:
        life = self.model[access.session]
        response = self.run(self.sessions.authenticate(access.token))
        if self.now >= access.expires:
            assert isinstance(response, AccessTokenExpired)
        elif life.state(self.now):
            assert isinstance(response, AccessSessionEnded | AccessTokenInvalid)
            self._check_ending(response, life)
        else:
            assert isinstance(response, tuple)
            assert (response[0].id, response[0].subject) == (access.session, life.user)
            life.in_use |= access.generation == life.generation

    @rule(access=pairs)
    def log_out(self, access: Access) -> None:
        response = self.run(self.sessions.log_out(access.token))
        if self.now >= access.expires:
            assert isinstance(response, AccessTokenExpired)
            return
        assert response is None
        self.model[access.session].end("logged_out", self.now)

    @rule(session=lives, user=st.sampled_from(USERS))
    def revoke(self, session: str, user: str) -> None:
        life = self.model[session]
        response = self.run(self.sessions.revoke(user, session))
        if user != life.user or life.ending == "erased" or life.purged:
            assert isinstance(response, NotFound)
        else:
            assert response is None
            life.end("revoked", self.now)

    @rule(user=st.sampled_from(USERS))
    def kick(self, user: str) -> None:
        assert self.run(self.sessions.end_all(user, EndReason.KICKED)) is None
        self._end_all(user, "kicked")

    @rule(session=lives)
    def end_others(self, session: str) -> None:
        user = self.model[session].user
        assert self.run(self.sessions.end_all(user, EndReason.REVOKED, keep=session)) is None
        self._end_all(user, "revoked", keep=session)

    @rule(user=st.sampled_from(USERS), hours=st.none() | st.integers(1, 100))
    def ban(self, user: str, hours: int | None) -> None:
        until = self.now + timedelta(hours=hours) if hours else None
        assert not isinstance(self.run(self.banning.ban(user, "spam", until)), TicketgateError)
        self.bans[user] = until
        self._end_all(user, "banned")

    @rule(user=st.sampled_from(USERS))
    def lift(self, user: str) -> None:
        assert self.run(self.banning.lift(user)) is None
        self.bans.pop(user, None)

    @rule(user=st.sampled_from(USERS))
    def erase(self, user: str) -> None:
        assert self.run(self.sessions.erase(user)) is None
        self._end_all(user, "erased")
        for life in self.model.values():
            if life.user == user:
                life.user, life.replaced_by = "", None

    @rule(by=st.sampled_from(PAUSES))
    def wait(self, by: timedelta) -> None:
        self.now += by

    @rule()
    def restart(self) -> None:
        self.opened.close()
        self._wire()

    @precondition(lambda self: self.model)
    @rule()
    def purge(self) -> None:
        self.run(self.stores.maintenance.purge(self.now))
        for life in self.model.values():
            life.purged |= (life.over_since or life.expires) + TOMBSTONE_TTL <= self.now

    # --- invariants ---

    @invariant()
    def what_is_listed_is_what_lives(self) -> None:
        if not hasattr(self, "sessions"):
            return
        for user in USERS:
            listed = self.run(self.sessions.active_sessions(user))
            assert isinstance(listed, list)
            living = {
                session: life.generation
                for session, life in self.model.items()
                if life.user == user and not life.state(self.now)
            }
            assert {session.id: session.generation for session, _ in listed} == living
            for session, _ in listed:
                assert self.now < session.expires_at <= session.absolute_expires_at

    def teardown(self) -> None:
        self.opened.close()
        self.runner.close()
        self.folder.cleanup()

    # --- the model's own words ---

    def _open(self, ticket: str, key: str, type: str | None) -> TokenPair | TicketgateError:  # noqa: A002
        return self.run(self.logins.log_in(Login(ticket, {"type": type} if type else {}, key)))

    def _banned(self, user: str) -> bool:
        until = self.bans.get(user, START)
        return until is None or self.now < until

    def _fresh(self) -> list[str]:
        return [s for s, life in self.model.items() if self.now < life.created + TICKET_LIFE]

    def _living(self, user: str) -> list[Life]:
        alive = [life for life in self.model.values() if not life.state(self.now)]
        return [life for life in alive if life.user == user]

    def _end_all(self, user: str, reason: str, keep: str = "") -> None:
        for session, life in self.model.items():
            if life.user == user and session != keep:
                life.end(reason, self.now)

    def _replace_for(self, user: str, type: str | None) -> None:  # noqa: A002
        if self.limits.one_per_device_type and type is not None:
            for life in self._living(user):
                if life.type == type:
                    life.end("replaced", self.now, type)
        oldest_first = self._living(user)  # the dictionary is in the order of logins
        for life in oldest_first[: max(len(oldest_first) + 1 - self.limits.max_per_user, 0)]:
            life.end("replaced", self.now, type)

    def _check_pair(self, pair: TokenPair, life: Life) -> Access:
        assert pair.session.subject == life.user
        assert pair.session.generation == life.generation
        assert pair.session.expires_at == life.expires
        assert pair.session.absolute_expires_at == life.absolute
        # One successor: the same generation always has the same refresh token.
        known = life.refresh.setdefault(life.generation, pair.refresh_token)
        assert known == pair.refresh_token
        expires = self.now + timedelta(seconds=pair.expires_in)
        assert expires == min(self.now + ACCESS, life.expires)
        return Access(pair.access_token, pair.session.id, life.generation, expires)

    def _check_ending(self, error: TicketgateError, life: Life) -> None:
        if life.purged:
            assert not hasattr(error, "reason")
            return
        assert isinstance(error, AccessSessionEnded | RefreshSessionEnded)
        assert error.reason == life.state(self.now)
        assert error.replaced_by == life.replaced_by


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=int(os.environ.get("STATE_RUNS", "60")),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
