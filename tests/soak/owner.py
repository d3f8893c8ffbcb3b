"""An app that notes what must not happen to its session."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from tests.soak.phone import App
from tests.soak.run import Environment


@dataclass(slots=True)
class Owner(App):
    """An app that counts what must not happen.

    `twins`: a refresh token had two successors. `undead`: a token that worked after its session had
    ended. `strangers`: a ticket gave another session the second time.
    """

    twins: int = 0
    undead: int = 0
    strangers: int = 0

    async def refresh_in_tabs(self, tabs: int) -> None:
        newest = self.received[-1]
        responses = await asyncio.gather(*(self.present(newest) for _ in range(tabs)))
        successors = {a.body["refresh_token"] for a in responses if a.status == HTTPStatus.OK}
        self.twins += len(successors) > 1
        for response in responses:
            self.take(response)

    async def take_stock(self) -> None:
        """Use the last token when all is calm; then end the session by showing its first one."""
        if self.confused or self.ended is not None:
            return  # it is known already
        with self.noting():
            await self.refresh_in_tabs(2)
            await self.refresh_in_tabs(1)
            await self.present(self.received[0])
            responses = [await self.present(token) for token in self.received]
            self.undead = sum(response.status == HTTPStatus.OK for response in responses)


def owners_of(environment: Environment) -> list[Owner]:
    return [app for app in environment.apps if isinstance(app, Owner)]
