"""The files of the page at /sandbox, and what the page changes in the service.

tests/e2e/test_browser.py presses its buttons.
"""

import re
from html.parser import HTMLParser
from typing import Any, get_args

import httpx
import pytest

from app.sandbox import Sandbox
from app.sandbox.control import _STATIC
from app.sandbox.personas import FAMILIAR
from app.sandbox.state import FAULTS, Place
from app.sessions.history import EVENTS
from tests.support.running_app import RunningApp, bearer, phone_of

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FILES = {path.name: path.read_text("utf-8") for path in _STATIC.iterdir()}
WORDS = set(re.findall(r"^  (\w+): \[", FILES["words.js"], re.MULTILINE))
FAMILIES = ("state_", "event_", "claim_", "persona_", "fault_")
"""Words whose key the page computes."""


class Reader(HTMLParser):
    """Collects the elements of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *((path, "index.html") for path in ("/", "/sandbox", "/sandbox/")),
        ("/favicon.ico", "icon.svg"),
        *((f"/sandbox/{name}", name) for name in FILES),
    ],
)
async def test_a_file_of_the_page_is_served_under_a_strict_policy(
    http: httpx.AsyncClient, path: str, name: str
) -> None:
    file = await http.get(path, follow_redirects=True)
    assert (file.status_code, file.text) == (200, FILES[name])
    assert file.headers["content-type"].startswith(KINDS[name.rpartition(".")[2]])
    assert file.headers["cache-control"] == "no-store"
    policy = file.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"unsafe|\*|data:|https?:", policy)


def test_the_page_uses_no_external_or_inline_code() -> None:
    for tag, attrs in Reader(FILES["index.html"]).tags:
        assert tag != "style"
        assert tag != "script" or attrs["src"]
        assert not [name for name in attrs if name == "style" or name.startswith("on")]
        for link in ("src", "href", "action"):
            assert re.match(r"/sandbox/|/docs$|#", attrs.get(link) or "#")
    scripts = "".join(text for name, text in FILES.items() if name.endswith(".js"))
    assert set(re.findall(r'from "(.*)"', scripts)) <= {f"./{name}" for name in FILES}
    assert not re.search(r"https?:|innerHTML|outerHTML|document\.write", scripts)
    assert not re.search(r"url\(|@import", FILES["style.css"])


def test_every_text_exists_in_both_languages_and_is_used() -> None:
    attributes = [attrs for _, attrs in Reader(FILES["index.html"]).tags]
    shown = {attrs.get(name) for attrs in attributes for name in ("data-t", "data-t-label")}
    assert shown <= {*WORDS, None}
    _, _, rest = FILES["words.js"].partition("};")
    code = "".join(text for name, text in FILES.items() if name != "words.js") + rest
    unused = {word for word in WORDS if f'"{word}"' not in code}
    assert {word for word in unused if not word.startswith(FAMILIES)} == set()


@pytest.fixture
async def served(app: RunningApp) -> httpx.AsyncClient:
    """A client of the service with the page."""
    return phone_of(app.serve(extra_routes=app.sandbox.pages))


async def test_the_page_switches_one_phone_of_each_type(
    app: RunningApp, served: httpx.AsyncClient
) -> None:
    async def log_in() -> dict[str, Any]:
        body = {"ticket": app.ticket(), "device": {"type": "ios"}}
        return app.tokens(await served.post("/v1/sessions", json=body), 201)

    async def reasons(*phones: dict[str, Any]) -> list[str | None]:
        answers = [await served.get("/v1/me", headers=bearer(each)) for each in phones]
        return [answer.json().get("reason") for answer in answers]

    first, second = await log_in(), await log_in()
    assert await reasons(first, second) == [None, None]
    changed = await served.patch("/sandbox/api/service", json={"one_per_device_type": True})
    assert changed.json()["one_per_device_type"] is True
    third = await log_in()
    assert await reasons(first, second, third) == ["replaced", "replaced", None]


async def test_the_page_learns_the_users_and_the_service_key(
    app: RunningApp, served: httpx.AsyncClient
) -> None:
    app.switch_authing(service_key="made-up-key")
    about = (await served.get("/sandbox/api/service")).json()
    assert about == {
        "one_per_device_type": False,
        "personas": FAMILIAR,
        "service_key": "made-up-key",
        "graded": False,
    }


def test_the_page_has_a_text_for_each_name_that_the_service_tells() -> None:
    names = {
        *(f"event_{name}" for name in EVENTS),
        *(f"persona_{name}" for name in FAMILIAR),
        *(f"fault_{name}" for name in (*FAULTS[1:], *get_args(Place))),
    }
    assert names <= WORDS


async def test_each_fault_on_the_page_can_be_set(http: httpx.AsyncClient) -> None:
    options = [attrs["value"] for tag, attrs in Reader(FILES["index.html"]).tags if tag == "option"]
    faults = [value.split() for value in options if value and " " in value]
    assert len(faults) == 15
    for of, kind in faults:
        shown = await http.put("/sandbox/fault", json={"of": of, "kind": kind, "times": 1})
        assert shown.json() == {"of": of, "kind": kind, "times": 1, "seconds": 3}


@pytest.mark.parametrize("body", [{"one_per_device_type": "yes"}, {"max_per_user": 1}, []])
async def test_wrong_input_changes_nothing_in_the_service(
    served: httpx.AsyncClient, body: Any
) -> None:
    refused = await served.patch("/sandbox/api/service", json=body)
    assert refused.status_code == 422
    assert refused.json()["error"].startswith(f"{next(iter(body), 'body')}: ")
    assert (await served.get("/sandbox/api/service")).json()["one_per_device_type"] is False


async def test_the_service_has_no_exchange(app: RunningApp, served: httpx.AsyncClient) -> None:
    exchange = f"/oauth/app2wxapp/auth/{app.settings.authing_user_pool_id}"
    assert (await served.post(exchange)).status_code == 404


async def test_a_page_of_another_site_gets_no_service_key(served: httpx.AsyncClient) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    refused = await served.get("/sandbox/api/service", headers=elsewhere)
    assert (refused.status_code, refused.json().keys()) == (403, {"error"})


async def test_a_ticket_that_comes_too_late_has_expired(
    sandbox: Sandbox, http: httpx.AsyncClient, exchange: Any
) -> None:
    ticket = (await http.post("/sandbox/tickets", json={"expired": True})).json()["ticket"]
    assert (await exchange(ticket)).json()["code"] == 2206
    assert sandbox.state.logins == 0
