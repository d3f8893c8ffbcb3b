"""The page at `/sandbox`: a form that plays the mini program and shows the ticket it gives.

Plain HTML and a form, no script, nothing from elsewhere, under a strict Content-Security-Policy.
"""

import json
import shlex
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.sandbox.control import mini_program_answer, refusal
from app.sandbox.options import BadInput, Consent
from app.sandbox.personas import FAMILIAR
from app.sandbox.state import SandboxState

_STATIC = Path(__file__).with_name("static")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def page_routes(state: SandboxState) -> list[Route]:
    """Give the routes of the page, with and without the trailing slash."""
    page = Page(state)
    style = (_STATIC / "page.css").read_bytes()

    async def stylesheet(_request: Request) -> Response:
        return Response(style, media_type="text/css")

    return [
        *(Route(path, page.empty) for path in ("/sandbox", "/sandbox/")),
        *(Route(path, page.submitted, methods=["POST"]) for path in ("/sandbox", "/sandbox/")),
        Route("/sandbox/page.css", stylesheet),
    ]


class Page:
    """The page before and after the user's choice in the mini program."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._page = Template((_STATIC / "page.html").read_text("utf-8"))
        self._answer = Template((_STATIC / "answer.html").read_text("utf-8"))

    async def empty(self, _request: Request) -> Response:
        """Show the form."""
        return self._show("", chosen="lin")

    async def submitted(self, request: Request) -> Response:
        """Show the form and what the mini program answers."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        persona = form.get("persona", "")
        try:
            consent = Consent(persona, "get_phone" in form, form.get("choice") == "approve")
        except BadInput as error:
            return refusal(error)
        return self._show(self._answered(consent), chosen=persona)

    def _answered(self, consent: Consent) -> str:
        options = self._state.options
        answer = {"ticket": "none", **mini_program_answer(self._state, consent)}
        body = json.dumps({"ext_msg": answer["ext_msg"]}, ensure_ascii=False)
        json_type = "Content-Type: application/json"
        curl = shlex.join(["curl", "-sS", options.login_url, "-H", json_type, "-d", body])
        values = {**answer, "ticket_ttl": options.ticket_ttl, "curl": curl}
        return self._answer.substitute({name: escape(str(text)) for name, text in values.items()})

    def _show(self, answer: str, chosen: str) -> Response:
        names = {**FAMILIAR, chosen: FAMILIAR.get(chosen, chosen)}
        personas = "".join(
            f'<option value="{name}"{" selected" * (name == chosen)}>{nickname} ({name})</option>'
            for name, nickname in names.items()
        )
        return HTMLResponse(
            self._page.substitute(answer=answer, personas=personas), headers=_HEADERS
        )
