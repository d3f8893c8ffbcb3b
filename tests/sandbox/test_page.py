"""The page at /sandbox, as a browser without scripts sees it."""

import json
import shlex
from html.parser import HTMLParser

import httpx
import pytest

from app.sandbox import Sandbox, SandboxOptions, create_sandbox


class Reader(HTMLParser):
    """Collects the text and the elements of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pre: list[str] = []
        self._in_pre = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_pre = tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self._in_pre = False

    def handle_data(self, data: str) -> None:
        if self._in_pre:
            self.pre.append(data)

    def chosen(self) -> list[str | None]:
        return [attrs["value"] for tag, attrs in self.tags if "selected" in attrs]


@pytest.mark.parametrize("path", ["/sandbox", "/sandbox/"])
async def test_the_page_answers_with_and_without_the_slash(
    control: httpx.AsyncClient, path: str
) -> None:
    shown = await control.get(path)
    submitted = await control.post(path, data={"persona": "chen", "choice": "approve"})
    assert (shown.status_code, submitted.status_code) == (200, 200)
    assert Reader(shown.text).pre == []
    assert Reader(shown.text).chosen() == ["lin"]


async def test_the_page_uses_no_external_or_inline_code(control: httpx.AsyncClient) -> None:
    page = await control.get("/sandbox")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    tags = Reader(page.text).tags
    assert not {"script", "style"} & {tag for tag, _ in tags}
    for _, attrs in tags:
        assert "style" not in attrs
        for link in ("src", "href", "action"):
            assert (attrs.get(link) or "/sandbox").startswith("/sandbox")
    style = await control.get("/sandbox/page.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text


async def test_allowing_shows_ext_msg_the_ticket_and_a_command_that_logs_in(
    sandbox: Sandbox, control: httpx.AsyncClient
) -> None:
    form = {"persona": "chen", "get_phone": "on", "choice": "approve"}
    page = Reader((await control.post("/sandbox", data=form)).text)
    ext_msg, ticket, curl = page.pre
    assert ext_msg == f"code=200&message=授权成功&ticket={ticket}"
    words = shlex.split(curl)
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:8000/v1/sessions"]
    assert json.loads(words[-1]) == {"ext_msg": ext_msg}
    entry = sandbox.state.tickets[ticket]
    assert (entry.persona, entry.get_phone) == ("chen", True)
    assert page.chosen() == ["chen"]


async def test_the_command_is_escaped_for_any_url() -> None:
    url = "http://127.0.0.1:8000/v1/sessions?a=1&copy=<b>'\""
    sandbox = create_sandbox(
        SandboxOptions(user_pool_id="pool-1", user_pool_secret="s" * 32, login_url=url)
    )
    transport = httpx.ASGITransport(sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pages.test") as client:
        form = {"persona": "lin", "choice": "approve"}
        page = Reader((await client.post("/sandbox", data=form)).text)
    assert shlex.split("".join(page.pre[2:]))[2] == url


@pytest.mark.parametrize("choice", [{"choice": "cancel"}, {}])
async def test_anything_but_allow_gives_no_ticket(
    sandbox: Sandbox, control: httpx.AsyncClient, choice: dict[str, str]
) -> None:
    page = Reader((await control.post("/sandbox", data={"persona": "lin", **choice})).text)
    assert page.pre[:2] == ["code=400&message=用户取消授权", "none"]
    assert sandbox.state.tickets_issued == 0


@pytest.mark.parametrize("body", [b"", b"persona=%3Cscript%3E&choice=approve", b"\xff\xfe=&&&="])
async def test_a_form_with_an_invalid_persona_is_refused(
    sandbox: Sandbox, control: httpx.AsyncClient, body: bytes
) -> None:
    response = await control.post("/sandbox", content=body)
    assert response.status_code == 422
    assert response.json() == {"error": "persona: 1 to 32 of a-z, 0-9, _ and -"}
    assert sandbox.state.tickets_issued == 0
