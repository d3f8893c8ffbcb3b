"""Ask the history why each session ended, after apps have met every fate over a lossy network.

Sessions end by theft, logout, revocation, kick, ban, replacement, expiry, and because Authing has
blocked the user, over SQLite and over Valkey. The history must name the injected cause of each, and
no credential and nothing personal. `python -m tests.soak.attribution --help` lists the options.
"""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from typing_extensions import override

from app.sandbox.personas import Persona
from tests.soak.fleet import SERVICE_KEY
from tests.soak.phone import LOGIN, Answer, App, Line
from tests.soak.proxies import LossyProxy
from tests.soak.run import Environment, Promise, environment, over_each_store, run
from tests.support.leaks import found
from tests.support.valkey.servers import Server

DROPS, DOUBLES = 0.20, 0.05
IDLE_SECONDS = 60
WEBHOOK_SECRET = "made-up-webhook-secret-0123456789"
_INTERNAL = f"Bearer {SERVICE_KEY}"
_AWAKE = 100
Cause: TypeAlias = tuple[str, str, str, str]
"""The reason, the author, the kind and the session that asked for the end."""


@dataclass(slots=True)
class Phone(App):
    persona: str = ""
    type: str = "ios"

    @override
    async def present_ticket(self) -> Answer:
        name = f"phone of {self.persona}"
        device = {"id": f"id of {name}", "name": name, "type": self.type, "app_version": "1.2.3"}
        body = {"ticket": self.ticket, "device": device}
        return await self.ask("POST", LOGIN, body, Idempotency_Key=self.key)

    async def send(
        self, method: str, path: str, body: Any = None, *, service: bool = False
    ) -> None:
        """Send a request of the user, or of the rest of the backend."""
        bearer = _INTERNAL if service else f"Bearer {self.access_token}"
        await self.ask(method, path, body, Authorization=bearer)

    def secrets(self) -> list[str]:
        """What no history may name."""
        person, name = Persona(self.persona), f"phone of {self.persona}"
        personal = (person.nickname, person.phone, person.openid, person.unionid, name)
        credentials = (self.access_token, *self.received, *self.keys.values())
        return [*credentials, self.ticket, self.key, *personal]

    async def history(self) -> tuple[Cause, str]:
        """The cause of the end as the history tells it, and all that it tells of the user."""
        user, session = f"users/{self.subject}", f"sessions/{self.session_id}"
        told = [
            await self.ask("GET", f"/internal/v1/{path}/history", Authorization=_INTERNAL)
            for path in (user, session)
        ]
        names, newest = ("reason", "by", "kind", "ended_by"), told[1].body["events"][0]
        reason, by, kind, ended_by = (str(newest.get(name, "")) for name in names)
        text = json.dumps([response.body for response in told], ensure_ascii=False)
        return (reason, by, kind, ended_by), text


@dataclass(slots=True)
class Life:
    """The phones of one user. The session of the first one is to end."""

    running: Environment
    line: Line
    persona: str
    phones: list[Phone] = field(default_factory=list)

    async def sign_in(self, type_: str = "android") -> Phone:
        phone = self.running.app(self.persona, Phone, self.line)
        phone.persona, phone.type = self.persona, type_
        self.phones.append(phone)
        self.running.apps.append(phone)
        await phone.sign_in()
        return phone

    @property
    def phone(self) -> Phone:
        return self.phones[0]

    @property
    def user(self) -> str:
        return f"/internal/v1/users/{self.phone.subject}"


Fate: TypeAlias = Callable[[Life], Awaitable[Cause]]


def stolen(refreshes: int, kind: str) -> Fate:
    """A thief presents the token that the phone had before these refreshes."""

    async def fate(life: Life) -> Cause:
        loot, thief = life.phone.received[-1], life.running.app("nobody", App, life.line)
        for _ in range(refreshes):
            await life.phone.refresh()
        await thief.present(loot)
        return "refresh_reused", "reuse", kind, ""

    return fate


def revoked(by: str, path: str) -> Fate:
    """The phone, or another one of the user, deletes this path of the sessions."""

    async def fate(life: Life) -> Cause:
        asking = life.phone if by == "this_device" else await life.sign_in()
        await asking.send("DELETE", "/v1/sessions" + path.format(life.phone.session_id))
        return "revoked", by, "", asking.session_id

    return fate


def replaced(kind: str, *types: str) -> Fate:
    """The user signs in on more phones of these types."""

    async def fate(life: Life) -> Cause:
        for type_ in types:
            await life.sign_in(type_)
        return "replaced", "limit", kind, ""

    return fate


async def logged_out(life: Life) -> Cause:
    await life.phone.send("DELETE", "/v1/sessions/current")
    return "logged_out", "this_device", "", ""


async def kicked(life: Life) -> Cause:
    await life.phone.send("DELETE", f"{life.user}/sessions", service=True)
    return "kicked", "service", "", ""


async def banned(life: Life) -> Cause:
    await life.phone.send("PUT", f"{life.user}/ban", {"reason": "spam"}, service=True)
    await life.phone.send("DELETE", f"{life.user}/ban", service=True)
    return "banned", "ban", "", ""


async def blocked(life: Life) -> Cause:
    status = {"persona": life.phone.persona, "status": "Suspended"}
    await life.running.authing.call("PUT", "/sandbox/status", status)
    hint = {"data": {"userId": life.phone.subject}}
    while life.phone.ended is None:
        await life.phone.ask(
            "POST", "/webhooks/authing", hint, X_Authing_Webhook_Secret=WEBHOOK_SECRET
        )
        await life.phone.refresh()
    return "account_blocked", "authing", "", ""


async def expired(_: Life) -> Cause:
    return "expired", "expiry", "idle", ""


FATES: tuple[Fate, ...] = (
    *(stolen(2, "stale"), stolen(1, "other_key"), logged_out, kicked, banned, blocked, expired),
    *(revoked("this_device", "/{}"), revoked("other_device", "/{}")),
    revoked("other_device", "?scope=others"),
    replaced("one_per_device_type", "ios"),
    replaced("max_per_user", "android", "harmony"),
)


async def main(folder: Path, given: argparse.Namespace) -> int:
    return await over_each_store(folder, partial(run_over, given))


async def run_over(given: argparse.Namespace, folder: Path, server: Server | None, url: str) -> int:
    async with environment(
        folder,
        given.seed,
        STORE_URL=url,
        SESSION_ONE_PER_DEVICE_TYPE="true",
        SESSION_MAX_PER_USER="2",
        SESSION_ACCESS_TTL=str(IDLE_SECONDS),
        SESSION_IDLE_TTL=str(IDLE_SECONDS),
        AUTHING_MANAGEMENT_URL="{authing}",
        AUTHING_WEBHOOK_SECRET=WEBHOOK_SECRET,
    ) as running:
        proxy = LossyProxy(running.choices, lambda: running.running.service.port, DROPS, DOUBLES)
        awake, causes = asyncio.Semaphore(_AWAKE), dict[str, Cause]()

        async def live(number: int, line: Line) -> None:
            life = Life(running, line, f"owner-{number}")
            async with awake:
                phone = await life.sign_in("ios")
                with phone.noting():
                    for _ in range(running.choices.randrange(3)):
                        await phone.refresh()
                    causes[phone.session_id] = await FATES[number % len(FATES)](life)

        async with proxy.listening() as port:
            line = Line(running.http, lambda: port)
            await asyncio.gather(*(live(number, line) for number in range(given.apps)))
            await asyncio.sleep(IDLE_SECONDS + 1)
            phones = [phone for phone in running.apps if isinstance(phone, Phone)]
            told = {phone.session_id: await phone.history() for phone in phones}
        right = [told[session_id][0] == cause for session_id, cause in causes.items()]
        leaks = [
            secret
            for phone in phones
            for secret in phone.secrets()
            if found({"": secret}, told[phone.session_id][1])
        ]
        for session_id, cause in causes.items():
            if told[session_id][0] != cause:
                print("another cause:", cause, told[session_id][0])
        facts = {
            "sessions": len(phones),
            "responses dropped": proxy.tally["responses dropped"],
            "requests doubled": proxy.tally["requests doubled"],
            "ends, by cause": dict(Counter(" ".join(cause[:3]) for cause in causes.values())),
        }
        promises = [
            Promise("ends told with their cause", sum(right), given.apps),
            Promise("secrets and personal data in the history", len(leaks)),
        ]
        return running.conclude(facts, promises)


if __name__ == "__main__":
    run(main, apps=2000)
