"""Grades one app: gives instructions, makes faults, and records all requests of the app.

`POST /sandbox/api/grade/next` returns the next instruction. The app's harness carries it out with
the app's own code and asks for the next. It reports nothing; only the requests count.
"""

import asyncio
import json
import secrets
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.sandbox.control import ControlRoute
from app.sandbox.faults import Answering, CutOff, Refusals, answer_with_fault, perform
from app.sandbox.findings import Record, Seen, Step, find
from app.sandbox.state import Consent, Fault, SandboxState, json_object

_DATA = tomllib.loads(Path(__file__).with_name("grading.toml").read_text("utf-8"))
FINDINGS: Mapping[str, str] = _DATA["findings"]
SCENARIOS: Mapping[str, list[Step]] = {
    name: [Step("install"), *(Step(**step) for step in steps)]
    for name, steps in _DATA["scenarios"].items()
}
_MONTH = 31 * 86_400
_DELAY = 0.3  # seconds
_PAGES: Mapping[str, ASGIApp] = {
    "http_500": Response(status_code=500),
    "page_502": HTMLResponse("<h1>Bad Gateway", 502),
}
_OPERATIONS = {
    ("POST", "/v1/sessions"): ("login", ("ext_msg", "ticket")),
    ("POST", "/v1/sessions/refresh"): ("refresh", ("refresh_token",)),
    ("DELETE", "/v1/sessions/current"): ("log_out", ()),
    ("GET", "/v1/launch"): ("launch", ()),
}


class Grader:
    """Takes one app through the scenarios, again and again.

    `finished` gets the report as text after each round.
    """

    def __init__(self, state: SandboxState, finished: Callable[[str], None]) -> None:
        self.scenarios = SCENARIOS
        self.hold_seconds = 15.0
        self._state = state
        self._finished = finished
        self._values = {"service_key": state.options.service_key}
        self._instructions = self._rounds()
        self._record = Record()
        self._results: dict[str, list[str]] = {}
        self._moved = asyncio.Event()
        self._nonce = ""

    def around(self, service: ASGIApp, refusals: Refusals) -> ASGIApp:
        """Return the service under observation."""
        self._service, self._refusals = service, refusals
        return Answering(self._answer, service)

    def routes(self) -> list[Route]:
        """Return the routes of the grader."""
        return [
            ControlRoute("GET /sandbox/api/grade", self.grade),
            ControlRoute("POST /sandbox/api/grade/next", self.next_instruction),
        ]

    def grade(self) -> dict[str, Any]:
        """Return the grade so far, with the mistakes in each scenario."""
        passed = sum(not names for names in self._results.values())
        return {
            "grade": f"{passed} of {len(self.scenarios)}",
            "finished": len(self._results) == len(self.scenarios),
            "scenarios": [
                {"name": name, "findings": {each: FINDINGS[each] for each in names}}
                for name, names in self._results.items()
            ],
        }

    @property
    def is_full(self) -> bool:
        """Whether the last round is complete and without a mistake."""
        return list(self._results.values()) == [[]] * len(self.scenarios)

    async def next_instruction(self) -> dict[str, Any]:
        """Return the next instruction for the app; after the last one, `stop` and the grade."""
        self._move()
        return await anext(self._instructions)

    async def _rounds(self) -> AsyncIterator[dict[str, Any]]:
        """Go through the scenarios again and again, each with a user of its own."""
        while True:
            self._results = {}
            for name, steps in self.scenarios.items():
                self._record, self._persona = Record(), f"grade-{secrets.token_hex(6)}"
                for step in steps:
                    await asyncio.sleep(step.pause)
                    told = await self._prepare(step)
                    self._record.steps.append((step, time.monotonic()))
                    yield {"scenario": name, "do": step.do, **step.tell, **told}
                self._results[name] = find(self._record)
            self._finished(self._text())
            yield {"do": "stop", **self.grade()}

    def _text(self) -> str:
        grade = self.grade()
        lines = [f"Grade: {grade['grade']}"]
        for scenario in grade["scenarios"]:
            lines.append(f"  {'FAILED' if scenario['findings'] else 'passed'}  {scenario['name']}")
            lines += (f"          {each}: {text}" for each, text in scenario["findings"].items())
        if not self.is_full:
            lines.append("docs/mobile.md says what a correct app does, and why.")
        return "\n".join(lines)

    async def _prepare(self, step: Step) -> dict[str, str]:
        """Set the fault and send the other request of a step; return the `ext_msg` of a sign-in."""
        consent = Consent(self._persona, approve=step.ticket != "cancelled")
        told = self._state.issue_ticket(consent)
        ticket = told.get("ticket", "")
        self._values |= {"ticket": ticket, "other_ticket": self._state.issue(consent)}
        self._record.given |= {told["ext_msg"], ticket}
        if step.ticket == "expired":
            self._state.tickets.pop(ticket)
        if grants := self._record.grants():
            given = grants[-1].body
            self._values |= {name: given[name] for name in ("access_token", "refresh_token")}
            self._values["sub"] = given["user"]["sub"]
        self._state.fault = Fault(step.authing, times=1, seconds=1)
        if step.outside and (grants or step.do == "sign_in"):
            outside = Template(json.dumps(step.outside)).substitute(self._values)
            await self._send(**json.loads(outside))
        return {"ext_msg": told["ext_msg"]} if step.do == "sign_in" else {}

    async def _send(
        self, method: str, path: str, query: str = "", body: object = None, **headers: str
    ) -> None:
        """Send a request to the service that does not come from the app, and is not recorded."""
        fields = {"content-type": "application/json"} | headers
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1),
        }
        await perform(self._service, scope, json.dumps(body).encode())

    def _move(self) -> None:
        """Release the held answer, if there is one."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def _answer(self, request: Request) -> Response:
        """Answer a request with its fault, and record both."""
        self._move()
        seen = self._seen(request, json_object(await request.body()))
        self._record.seen.append(seen)
        response = await self._spoiled(seen.fault, request)
        seen.ended = time.monotonic()
        seen.status, seen.headers = response.status_code, response.headers
        seen.body = json_object(bytes(response.body))
        self._nonce = seen.headers.get("dpop-nonce", self._nonce)
        return response

    def _seen(self, request: Request, body: Mapping[str, Any]) -> Seen:
        operation, members = _OPERATIONS.get((request.method, request.url.path), ("call", ()))
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        seen = Seen(
            step=len(self._record.steps) - 1,
            operation=operation,
            token=next((str(body[each]) for each in members if each in body), bearer),
            key=request.headers.get("idempotency-key", ""),
            proof=request.headers.get("dpop", ""),
            began=time.monotonic(),
        )
        seen.fault = self._fault(seen) if self._record.steps else ""
        return seen

    def _fault(self, seen: Seen) -> str:
        step, begin = self._record.steps[-1]
        if seen.proof and seen.nonce is None:
            return ""  # the service will only ask for a nonce
        before = self._record.of(seen.operation, seen.step)
        is_first = all(each.is_nonce and not each.fault for each in before)
        fault = step.all.get(seen.operation) or (is_first and step.first.get(seen.operation)) or ""
        given = {each.body["access_token"] for each in self._record.grants(begin)}
        without_effect = (fault == "access_token_expired" and seen.token not in given) or (
            fault == "proof_invalid" and not seen.proof
        )
        return "" if without_effect else fault

    async def _spoiled(self, fault: str, request: Request) -> Response:
        moved = self._moved
        refusals = {**_PAGES, **self._refusals(nonce=self._nonce)}
        response = await answer_with_fault(fault, _DELAY, refusals, request, self._service)
        if fault == "held":  # until the app has given up waiting
            with suppress(TimeoutError):
                await asyncio.wait_for(moved.wait(), self.hold_seconds)
            response = CutOff(None) if moved.is_set() else response
        return _with_old_times(response) if fault == "old_times" else response


def _with_old_times(response: Response) -> Response:
    """Set all times back by a month: the phone's clock seems ahead. A refresh is due in 1 s."""
    body = json_object(bytes(response.body))
    if "session" in body:  # the login may have been refused
        body |= {"refresh_after": 1, "server_time": body["server_time"] - _MONTH}
        body["session"]["expires_at"] -= _MONTH
    return JSONResponse(body, response.status_code)
