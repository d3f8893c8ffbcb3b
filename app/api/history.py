"""The history as JSON, with an explanation of each end in English or Chinese."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NotRequired, cast

from typing_extensions import TypedDict

from app.api.problems import Language
from app.api.schemas import DeviceOut
from app.sessions.history import Author, Happening
from app.sessions.models import EndReason, epoch

EXPLANATIONS: Mapping[str, Mapping[Language, str]] = tomllib.loads(
    files(__package__).joinpath("explanations.toml").read_text("utf-8")
)


class HistoryEvent(TypedDict):
    """One event, or `count` equal ones from `first_at` to `at`.

    A ban has no `session_id`. `kind` is the kind of reuse, the fault of a proof, or the limit that
    ended the session. `ended_by` is the session that asked for the end. `replaced_by` is a type of
    device. `refreshes` counts all that the session had.
    """

    event: str
    at: int
    session_id: NotRequired[str]
    device: NotRequired[DeviceOut]
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

    events: Sequence[HistoryEvent]


def history_out(told: Sequence[Happening], language: Language) -> History:
    """The history, with explanations in this language."""
    return {"events": [_event_out(each, language) for each in told]}


def _event_out(each: Happening, language: Language) -> HistoryEvent:
    names = ["event", "kind", "reason", "by", "ended_by"]
    shown: dict[str, Any] = {name: getattr(each, name) for name in names} | {"at": epoch(each.at)}
    if each.event == "refreshed" or each.count > 1:
        shown |= {"count": each.count, "first_at": each.first_at and epoch(each.first_at)}
    if (session := each.session) is not None:
        device = {"type": session.device_type, "app_version": session.app_version}
        shown |= {"session_id": session.id, "device": {k: v for k, v in device.items() if v}}
        if each.reason is not None:
            shown |= {"replaced_by": session.replaced_by, "refreshes": session.refreshes}
            shown["explanation"] = explanation(each, language)
    known = {name: value for name, value in shown.items() if value not in (None, "", {})}
    return cast("HistoryEvent", known)


def explanation(end: Happening, language: Language) -> str:
    """Why the session ended, what that means, and what to do."""
    reason = end.reason or EndReason.EXPIRED
    variant = EXPLANATIONS.get(f"{reason}.{end.kind or end.by}")
    return (variant or EXPLANATIONS[reason])[language]
