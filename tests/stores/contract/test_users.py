"""All sessions of a user are listed, ended and erased together, without those of other users."""

from datetime import datetime

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, Ended, Replayed, Rotated, Unknown
from app.sessions.ports import Stores
from tests.stores.builders import DAY, HOUR, IDLE, NOW, ONE, SECOND, SUBJECT, keep, make_session
from tests.stores.steps import Act, Step, end, end_all, erase, play, purge, rotate, touch

OTHER = "5e00000000000000000000bb"
LATER = NOW + 4 * HOUR
FORGOTTEN = LATER + 7 * DAY
USERS = ["oldest", "middle", "newest"]
KICKED, ERASED = Ended(EndReason.KICKED), Ended(EndReason.ERASED)


@pytest.fixture
async def store(store: Stores) -> Stores:
    """Three sessions of the user and one of another."""
    for name, hour in (("newest", 3), ("oldest", 1), ("middle", 2)):
        await keep(store, make_session(name, created_at=NOW + hour * HOUR))
    await keep(store, make_session("other", subject=OTHER))
    return store


def listed(subject: str = SUBJECT, at: datetime = LATER) -> Act:
    async def ids(store: Stores) -> list[str]:
        return [each.id for each in await store.sessions.active_sessions(subject, at)]

    return ids


def end_of(session_id: str, subject: str | None, reason: EndReason = EndReason.LOGGED_OUT) -> Act:
    return end(reason, LATER, session_id, subject)


MIDDLE_ENDS: Step = (end_of("middle", SUBJECT), Ended(EndReason.LOGGED_OUT, changed=True))
MIDDLE_STAYS: Step = (touch(0, LATER, "middle"), Ended(EndReason.LOGGED_OUT))
OTHERS_LIVES: Step = (touch(0, LATER, "other"), Active)
STORIES: dict[str, list[Step]] = {
    "a user's sessions are listed oldest first": [
        *((listed(), USERS), (listed(OTHER), ["other"]), (listed("unknown"), []))
    ],
    "a session that is over is not listed": [
        *(MIDDLE_ENDS, (listed(), ["oldest", "newest"])),
        *((listed(at=NOW + IDLE - SECOND), ["oldest", "newest"]), (listed(at=NOW + IDLE), [])),
    ],
    "listing closes no window": [
        *((rotate(0, session_id="other"), Rotated), (listed(OTHER), ["other"])),
        *((rotate(0, session_id="other"), Replayed), (touch(1, NOW, "other"), Active)),
    ],
    # --- ended one by one ---
    "a user cannot end the session of another": [
        (end_of("other", SUBJECT), Unknown()),
        OTHERS_LIVES,
    ],
    "a user is not told how the session of another ended": [
        *((end_of("other", OTHER), Ended), (end_of("other", SUBJECT), Unknown()))
    ],
    "a session ends without its user being named": [
        (end_of("other", None, EndReason.REVOKED), Ended(EndReason.REVOKED, changed=True)),
        *((end_of("other", None), Ended(EndReason.REVOKED)), (listed(OTHER), [])),
        (end_of("nothing", None), Unknown()),
    ],
    # --- ended together ---
    "all sessions of a user end together": [
        (end_all(EndReason.KICKED, LATER), USERS),
        *((touch(0, LATER, name), KICKED) for name in USERS),
        *((rotate(0, LATER, session_id=name), KICKED) for name in USERS),
        OTHERS_LIVES,
    ],
    "all sessions but one end together": [
        (end_all(EndReason.REVOKED, LATER, keep="middle"), ["oldest", "newest"]),
        (listed(), ["middle"]),
    ],
    "keeping the session of another keeps nothing": [
        (end_all(EndReason.REVOKED, LATER, keep="other"), USERS),
        (listed(OTHER), ["other"]),
    ],
    "ended sessions are not ended again": [
        *(MIDDLE_ENDS, (end_all(EndReason.KICKED, LATER), ["oldest", "newest"])),
        *((end_all(EndReason.KICKED, LATER), []), MIDDLE_STAYS),
    ],
    # --- erased ---
    "the sessions of an erased user end as erased": [
        *((erase(LATER), USERS), (touch(0, LATER, "oldest"), ERASED), (listed(OTHER), ["other"]))
    ],
    "older end reasons of an erased user stay": [
        *(MIDDLE_ENDS, (erase(LATER), ["oldest", "newest"]), MIDDLE_STAYS)
    ],
    "an erased session belongs to no user": [
        *(MIDDLE_ENDS, (erase(LATER), ["oldest", "newest"])),
        *((end_of(name, SUBJECT), Unknown()) for name in USERS),
        *((listed(), []), (erase(LATER), [])),
    ],
    "a tombstone without a user stays for seven days": [
        *((erase(LATER, OTHER), ["other"]), (purge(FORGOTTEN - SECOND), 0)),
        *((touch(0, FORGOTTEN - SECOND, "other"), ERASED), (purge(FORGOTTEN), 1)),
        (touch(0, FORGOTTEN, "other"), Unknown()),
    ],
}


@pytest.mark.parametrize("steps", STORIES.values(), ids=STORIES)
async def test_the_sessions_of_a_user_have_these_outcomes(store: Stores, steps: list[Step]) -> None:
    await play(store, *steps)


async def test_sessions_of_one_second_are_listed_in_the_order_of_writing(store: Stores) -> None:
    for name in ("z", "a", "m"):
        await keep(store, make_session(name, created_at=NOW, subject="user-c"))
    await play(store, (listed("user-c"), ["z", "a", "m"]))


async def test_a_replaced_session_of_an_erased_user_names_no_device(store: Stores) -> None:
    await keep(store, make_session("newcomer", created_at=LATER, device_type="ios"), ONE)
    await store.sessions.erase(SUBJECT, LATER)
    await play(store, (touch(0, LATER, "oldest"), Ended(EndReason.REPLACED, None)))


async def test_an_erased_user_can_log_in_again(store: Stores) -> None:
    await store.sessions.erase(SUBJECT, LATER)
    await keep(store, make_session("again", created_at=LATER))
    await play(store, (listed(), ["again"]))
