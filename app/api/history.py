"""The history as JSON, with an explanation of each end in English or Chinese."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NotRequired, cast

from typing_extensions import TypedDict

from app.api.problems import Language
from app.sessions.history import Author, Happening, HistoryEvent
from app.sessions.models import EndReason, epoch

EXPLANATIONS: Mapping[str, Mapping[Language, str]] = tomllib.loads(
    files(__package__).joinpath("explanations.toml").read_text("utf-8")
)


class DeviceKind(TypedDict):
    """What is known of the device without the profile."""

    type: NotRequired[str]
    app_version: NotRequired[str]


class HistoryEventOut(TypedDict):
    """One event, or `count` equal ones from `first_at` to `at`.

    A ban has no `session_id`. `kind` is the kind of reuse, the fault of a proof, or the limit that
    ended the session. `ended_by` is the session that asked for the end. `replaced_by` is a type of
    device. `refreshes` counts all that the session had.
    """

    event: HistoryEvent
    at: int
    session_id: NotRequired[str]
    device: NotRequired[DeviceKind]
    kind: NotRequired[str]
    count: NotRequired[int]
    first_at: NotRequired[int]
    reason: NotRequired[EndReason]
    by: NotRequired[Author]
    ended_by: NotRequired[str]
    replaced_by: NotRequired[str]
    refreshes: NotRequired[int]
    explanation: NotRequired[str]


class History(TypedDict):
    """What happened, newest first. The refreshes of an active session are one event."""

    events: Sequence[HistoryEventOut]


def history_out(told: Sequence[Happening], language: Language) -> History:
    """The history, with explanations in this language."""
    return {"events": [_event_out(each, language) for each in told]}


def explanation(end: Happening, language: Language) -> str:
    """Why the session ended, what that means, and what to do."""
    reason = end.reason or EndReason.EXPIRED
    variant = EXPLANATIONS.get(f"{reason}.{end.kind or end.by}")
    return (variant or EXPLANATIONS[reason])[language]


def _event_out(each: Happening, language: Language) -> HistoryEventOut:
    session, ended = each.session, each.event == "ended"
    members: dict[str, Any] = {
        "event": each.event,
        "at": epoch(each.at),
        "kind": each.kind,
        "count": each.count if each.count > 1 or each.event == "refreshed" else None,
        "first_at": epoch(each.first_at) if each.first_at and each.count > 1 else None,
        "reason": each.reason,
        "by": each.by,
        "ended_by": each.ended_by,
    }
    if session is not None:
        device = {"type": session.device_type, "app_version": session.app_version}
        members |= {
            "session_id": session.id,
            "device": {name: text for name, text in device.items() if text},
            "replaced_by": session.replaced_by if ended else None,
            "refreshes": session.refreshes if ended else None,
            "explanation": explanation(each, language) if ended else None,
        }
    shown = {name: value for name, value in members.items() if value not in (None, "", {})}
    return cast("HistoryEventOut", shown)
