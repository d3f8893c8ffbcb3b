"""Finds the mistakes of an app in its requests in one scenario.

A rule yields names of `findings` in grading.toml. It knows no scenario, so it finds its mistake in
each of them.
"""

import base64
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

_MINIMAL_PAUSE, _TOLERANCE, _GRACE = 0.2, 0.05, 0.8  # seconds
_AT_ONCE = 1.0  # a second refresh later than this follows a timeout
_FINAL = frozenset({"relaunch_wechat", "contact_support", "none"})
_WRONG = frozenset({"refresh_token_invalid", "access_token_invalid"})
_OUT = ("call", "")  # a call by an app without a session
_OK, _UNAUTHORIZED, _ERROR = 200, 401, 500
_EXPECTED = {
    "sign_in": ("login", "no_login"),
    "call_api": ("call", "tokens_dropped"),
    "refresh": ("refresh", "tokens_dropped"),
    "log_out": ("log_out", "no_log_out"),
}
"""The operation that each instruction asks for, and the mistake if its request is missing."""


@dataclass(frozen=True)
class Step:
    """One instruction, and what happens meanwhile; grading.toml explains the members."""

    do: str
    tell: Mapping[str, Any] = field(default_factory=dict)
    first: Mapping[str, str] = field(default_factory=dict)
    all: Mapping[str, str] = field(default_factory=dict)
    outside: Mapping[str, Any] = field(default_factory=dict)
    authing: str = "none"
    ticket: str = ""
    pause: float = 0


@dataclass(slots=True)
class Seen:
    """One request and its answer. Times are in seconds; `status` is 0 without an answer."""

    step: int
    operation: str
    token: str  # the ticket, the refresh token or the access token
    key: str
    proof: str
    began: float
    fault: str = ""
    ended: float = math.inf
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_grant(self) -> bool:
        """Whether it gave tokens to the app."""
        return "access_token" in self.body

    @property
    def asks_to_retry(self) -> bool:
        """Whether the same request should be sent again."""
        return self.status in (0, 409, 429) or self.status >= _ERROR or self.is_nonce

    @property
    def is_nonce(self) -> bool:
        """Whether it asks for a proof with another nonce (RFC 9449 section 8)."""
        return self.body.get("error") == "use_dpop_nonce"

    @property
    def nonce(self) -> object:
        """The nonce in its proof; None if there is none."""
        try:
            payload = base64.urlsafe_b64decode(self.proof.split(".")[1] + "==")
            return json.loads(payload)["nonce"] or None
        except (ValueError, LookupError, TypeError):
            return None

    @property
    def is_end(self) -> bool:
        """Whether it tells the app that its session is over."""
        return self.body.get("session_alive") is False


@dataclass
class Record:
    """The record of one scenario: each step with its begin, and all requests in their order."""

    steps: list[tuple[Step, float]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    given: set[str] = field(default_factory=set)  # tickets and `ext_msg` that the app may send

    def of(self, operation: str, step: int | None = None) -> list[Seen]:
        """Return the requests of an operation, in one step or in all."""
        return [s for s in self.seen if s.operation == operation and step in (None, s.step)]

    def grants(self, before: float = math.inf) -> list[Seen]:
        """Return the answers with tokens that had arrived by this time."""
        return [s for s in self.seen if s.is_grant and s.ended < before]

    def ends(self) -> list[tuple[float, str]]:
        """Return when the app learned of an end of its session, and the mistake of ignoring it."""
        told = [(s.ended, "sent_tokens_after_end") for s in self.seen if s.is_end]
        out = [begin for step, begin in self.steps if step.do == "log_out"]
        return told + [(begin, "sent_tokens_after_log_out") for begin in out]


def find(record: Record) -> list[str]:
    """Return the names of all mistakes, each once."""
    return list(dict.fromkeys(name for rule in _RULES for name in rule(record)))


def _keys(record: Record) -> Iterator[str]:
    keys: dict[str, str] = {}
    for seen in (*record.of("login"), *record.of("refresh")):
        if not seen.key:
            yield "no_idempotency_key"
        elif seen.token not in keys and seen.key in keys.values():
            yield "key_used_twice"
        elif keys.setdefault(seen.token, seen.key) != seen.key:
            yield "new_key_on_retry"


def _retries(record: Record) -> Iterator[str]:
    for step, operation in {(s.step, s.operation): None for s in record.seen}:
        for first, again in pairwise(record.of(operation, step)):
            pause = again.began - first.ended
            other_nonce = again.nonce != first.headers.get("dpop-nonce")
            if pause >= 0 and first.is_nonce and other_nonce:
                yield "ignored_nonce"
            if pause < 0 or first.is_nonce or first.token != again.token:
                continue
            if pause < float(first.headers.get("retry-after", 0)) - _TOLERANCE:
                yield "ignored_retry_after"
            elif first.asks_to_retry and pause < _MINIMAL_PAUSE:
                yield "no_backoff"


def _refused(record: Record) -> Iterator[str]:
    for seen in record.seen:
        if seen.fault == "held" and seen.status:
            yield "no_timeout"
        code, action = seen.body.get("code", ""), seen.body.get("client_action")
        damaged = seen.operation == "login" and code and seen.token not in record.given
        unproven = seen.body.get("error") == "invalid_dpop_proof"
        wrong = action == "none" or code in _WRONG or damaged or unproven
        expected = code in (seen.fault, "login_cancelled") or (seen.operation, seen.token) == _OUT
        if wrong and not expected:
            yield "bad_request"
    for first, again in combinations(record.seen, 2):
        same = (first.operation, first.token) == (again.operation, again.token)
        final = first.body.get("client_action") in _FINAL and not first.is_end
        if same and final and first.token and again.began > first.ended:
            yield "ignored_client_action"
        if first.proof and first.proof == again.proof:
            yield "proof_repeated"


def _ends(record: Record) -> Iterator[str]:
    for end, name in record.ends():
        given = [s.body for s in record.grants(end)]
        dead = {body[kind] for body in given for kind in ("access_token", "refresh_token")}
        later = [s for s in record.seen if s.began > end and s.operation != "log_out"]
        yield from (name for s in later if s.token in dead)


def _stale(record: Record) -> Iterator[str]:
    for first, again in combinations(record.of("refresh"), 2):
        if first.token != again.token or first.fault == "held":
            continue
        at_once = again.began < min(first.ended + _TOLERANCE, first.began + _AT_ONCE)
        if at_once and first.step == again.step and (again.began < first.ended or first.is_grant):
            yield "double_refresh"
        elif first.is_grant and again.began > first.ended:
            yield "old_refresh_token"
    for call in record.of("call"):
        known = [s.body["access_token"] for s in record.grants(call.began)]
        if call.token in known[:-1] and call.token != known[-1]:
            yield "old_access_token"


def _needless(record: Record) -> Iterator[str]:
    for refresh in record.of("refresh"):
        before = [s for s in record.seen if s.step == refresh.step and s.ended < refresh.began]
        calls = [s for s in before if s.operation == "call"]
        refused = any(s.status == _UNAUTHORIZED for s in calls)
        asked_for = refused and not any(s.is_grant for s in before)
        if asked_for or record.steps[refresh.step][0].do != "call_api":
            continue
        if calls and calls[-1].asks_to_retry:
            yield "refresh_on_service_error"
        elif not _is_due(record, refresh.began):
            yield "needless_refresh"


def _is_due(record: Record, at: float, grace: float = 0) -> bool:
    grants = record.grants(at)
    return bool(grants) and at > grants[-1].ended + grants[-1].body["refresh_after"] + grace


def _calls(record: Record) -> Iterator[str]:
    for index, (step, _) in enumerate(record.steps):
        calls = record.of("call", index)
        refused = sum(s.status == _UNAUTHORIZED for s in calls if s.token and not s.is_end)
        if refused > 2 * step.tell.get("at_once", 1):
            yield "refresh_loop"
        if any(_is_due(record, s.began, _GRACE) for s in calls):
            yield "no_refresh_when_due"


def _outcomes(record: Record) -> Iterator[str]:
    for index, (step, begin) in enumerate(record.steps):
        if step.do not in _EXPECTED or step.ticket == "cancelled":
            continue
        operation, missing = _EXPECTED[step.do]
        last_end = max((end for end, _ in record.ends() if end < begin), default=0)
        is_signed_in = any(s.ended > last_end for s in record.grants(begin))
        if missing == "tokens_dropped" and not is_signed_in:
            continue
        requests = [s for s in record.of(operation, index) if s.token]
        if not requests:
            yield missing
        elif operation == "call":
            yield from _after_calls(step, requests, record.of("refresh", index))
        elif "kill_after" not in step.tell and operation != "log_out":
            yield from ["gave_up"] if requests[-1].asks_to_retry else []


def _after_calls(step: Step, calls: list[Seen], refreshes: list[Seen]) -> Iterator[str]:
    """Look at the calls of an app that has a session."""
    given = [s.ended for s in refreshes if s.is_grant]
    repeated = [s for s in calls if given and s.began > given[0]]
    answered = sum(s.status == _OK for s in calls) == step.tell.get("at_once", 1)
    if answered or any(s.is_end for s in (*calls, *refreshes)):
        return
    if calls[-1].status == _UNAUTHORIZED and not refreshes:
        yield "ignored_client_action"
    elif not repeated or repeated[-1].status != _UNAUTHORIZED:
        yield "gave_up"


_RULES = (_keys, _retries, _refused, _ends, _stale, _needless, _calls, _outcomes)
