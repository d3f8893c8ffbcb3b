"""A sandbox process to fuzz, and genuine credentials for generated requests.

The description allows any text of a form for a ticket, a refresh token or a key; the server accepts
only those that it issued. Requests that are meant to be valid get genuine ones.
"""

import uuid
from dataclasses import dataclass
from typing import Any

import schemathesis
from schemathesis import AuthContext, BaseSchema, Case, HookContext
from schemathesis.config import SchemathesisConfig

from tests.e2e.conftest import Service
from tests.support.running_app import SERVICE_KEY, UNHINDERED

SETTINGS = {
    "SERVICE_API_KEYS": SERVICE_KEY,
    "RATE_LIMIT_LOGIN": UNHINDERED,
    "RATE_LIMIT_REFRESH": UNHINDERED,
}
TOO_LONG = ["413", "414", "431"]
"""A request that is too long is refused before anything else is checked."""
REFUSED = ["400", "401", "404", "405", "415", "422", *TOO_LONG]
TAKEN = ["200", "201", "204", "401", "404", *TOO_LONG]
STRICT = ["400"]
"""Rules that no schema expresses: a double must hold every number of a body, no parameter of a form
is repeated, and a ticket or a refresh token is valid once, while some cases are sent more often."""


@dataclass(frozen=True)
class App:
    """Logs in whenever a request needs a session."""

    service: Service

    def ticket(self) -> str:
        response = self.service.phone.post("/sandbox/tickets", json={"persona": "lin"})
        return str(response.raise_for_status().json()["ticket"])

    def tokens(self) -> dict[str, Any]:
        return self.service.log_in(self.ticket())

    def credential(self, kind: str) -> str:
        return SERVICE_KEY if kind == "service_key" else self.tokens()["access_token"]

    def complete(self, case: Case[Any]) -> Case[Any]:
        """Put genuine credentials into a case that is meant to be valid."""
        if case.meta is None or not case.meta.generation.mode.is_positive:
            return case
        body: Any = case.body
        match case.operation.label, body:
            case "POST /v1/sessions", {"ticket": str()}:
                body["ticket"] = self.ticket()
            case "POST /v1/sessions", {"ext_msg": str()}:
                body["ext_msg"] = f"code=200&ticket={self.ticket()}"
            case "POST /v1/sessions/refresh", {"refresh_token": str()}:
                body["refresh_token"] = self.tokens()["refresh_token"]
            case "PUT /internal/v1/users/{subject}/ban", {"until": str(until)}:
                body["until"] = f"2400{until[4:]}"  # the future, and a leap year
        if key := case.headers.get("idempotency-key"):
            case.headers["idempotency-key"] = f"{key[:200]}{uuid.uuid4()}"
        return case


def described_by(
    service: Service, *, cases: int | None, has_body: bool, any_method: bool
) -> BaseSchema:
    """The service's description, to be tried with `cases` per operation.

    None: a few, always the same, without a limit on response times. `has_body`: some of the
    operations take a body. `any_method`: methods that are not described are answered too.
    """
    checks: dict[str, Any] = {
        "unsupported_method": {"enabled": not any_method},
        "negative_data_rejection": {"expected-statuses": REFUSED},
        "positive_data_acceptance": {"expected-statuses": TAKEN + (STRICT if has_body else [])},
    }
    if cases is not None:
        checks["max_response_time"] = 1.0
    config = SchemathesisConfig.from_dict(
        {
            "base-url": service.url,
            "continue-on-failure": True,
            "request-timeout": 30,
            "checks": checks,
            "generation": {
                "max-examples": cases or 5,
                "deterministic": cases is None,
                "database": "none",
            },
        }
    )
    document = service.phone.get("/openapi.json").json()
    _tolerate(document["components"]["schemas"])
    paths = document["paths"].items()
    document["paths"] = {p: item for p, item in paths if not p.startswith("/sandbox/")}
    described: BaseSchema = schemathesis.openapi.from_dict(document, config=config)
    app = App(service)

    def map_case(context: HookContext, case: Case[Any]) -> Case[Any]:
        return app.complete(case)

    described.hook(map_case)

    return described


def _tolerate(schemas: dict[str, Any]) -> None:
    """Describe all that the API accepts. Its description has what an app should send."""
    login, ban = schemas["LoginRequest"]["properties"], schemas["BanIn"]["properties"]
    login["device"] = {}
    for member in (login["ticket"], login["ext_msg"], ban["until"]):
        member["type"] = ["string", "null"]


def sign_in(described: BaseSchema, app: App) -> None:
    """Give every case a credential of its own if the operation needs one."""

    @described.auth(refresh_interval=None)
    class Credential:
        def get(self, case: Case[Any], context: AuthContext) -> str | None:
            needed = case.operation.definition.raw.get("security")
            return app.credential(*needed[0]) if needed else None

        def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
            case.headers["Authorization"] = f"Bearer {data}"
