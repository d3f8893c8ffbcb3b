"""Phones that use the service through nginx, several at once."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from uuid import uuid4

import httpx

from tests.deploy.nginx import Nginx
from tests.e2e.conftest import Authing
from tests.support.processes import soon

PHONES = 4
ROUNDS = 5
PAUSE = 0.1


class Phone:
    """A correct app: keeps the tokens that it received last, and repeats what was not answered."""

    def __init__(self, http: httpx.Client, authing: Authing) -> None:
        self.http = http
        self._authing = authing
        self.statuses: list[int] = []
        self.rounds = 0

    def log_in(self) -> None:
        ticket = self._authing.ticket()
        headers = {"Idempotency-Key": str(uuid4())}
        answer = self._post("/v1/sessions", {"ticket": ticket}, headers)
        while answer.is_server_error or answer.status_code == httpx.codes.CONFLICT:
            time.sleep(PAUSE)  # 409: the login whose answer was lost is still at work, or has died
            answer = self._post("/v1/sessions", {"ticket": ticket}, headers)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        self._keep(answer)

    def refresh(self) -> int:
        """Refresh once; if it fails, the same token is sent the next time."""
        answer = self._post("/v1/sessions/refresh", {"refresh_token": self._refresh_token}, {})
        if answer.is_success:
            self._keep(answer)
        return answer.status_code

    def look(self) -> None:
        headers = {"Authorization": f"Bearer {self._access_token}"}
        self.statuses.append(self.http.get("/v1/sessions/current", headers=headers).status_code)

    def use_until(self, enough: Event) -> None:
        while not enough.is_set():
            self.refresh()
            self.look()
            self.rounds += 1
            if self.rounds % ROUNDS == 0:
                self.log_in()

    def uses_on(self) -> None:
        """Wait until it has done some more."""
        wanted = self.rounds + ROUNDS
        soon(lambda: self.rounds >= wanted)

    def _post(self, path: str, body: dict[str, str], headers: dict[str, str]) -> httpx.Response:
        answer = self.http.post(path, json=body, headers=headers)
        self.statuses.append(answer.status_code)
        return answer

    def _keep(self, answer: httpx.Response) -> None:
        tokens = answer.json()
        self._access_token, self._refresh_token = tokens["access_token"], tokens["refresh_token"]


@contextmanager
def using(nginx: Nginx, authing: Authing) -> Iterator[Sequence[Phone]]:
    """Phones that are using the service, each on a connection of its own, until the end.

    The last thing that each does is to refresh with whatever token it holds.
    """
    enough = Event()
    with ExitStack() as stack:
        phones = [Phone(stack.enter_context(nginx.client()), authing) for _ in range(PHONES)]
        for phone in phones:
            phone.log_in()
        threads = [Thread(target=phone.use_until, args=(enough,)) for phone in phones]
        for thread in threads:
            thread.start()
        try:
            for phone in phones:
                phone.uses_on()
            yield phones
        finally:
            enough.set()
            for thread in threads:
                thread.join()
        for phone in phones:
            phone.refresh()
