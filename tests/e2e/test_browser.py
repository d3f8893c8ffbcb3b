"""The sandbox's page in Chromium: every button, in English and Chinese, by mouse and keyboard.

`SCREENSHOTS=FOLDER` saves pictures of the page.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.e2e.conftest import Serve, Service
from tests.support.programs import program

pytestmark = pytest.mark.long
LANGUAGES = ("en-US", "zh-CN")
WIDE, NARROW = 1280, 390
EXPECTED = "Failed to load resource"  # Chromium's line about any status from 400
Page: TypeAlias = Any
"""A Page of Playwright, which is not installed with the other requirements."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = program("chromium", "chromium-browser", "google-chrome")
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a sandbox."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("browser")
        service = Service(folder, "sandbox", {"PORT": "0", "RATE_LIMIT_LOGIN": "off"}, stack)
        service.start()
        yield service.url


Visit: TypeAlias = Callable[..., "Visitor"]


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Visit]:
    """Opens the page; fails on an error of a script and on a breach of the policy."""
    complaints: list[str] = []

    def not_found(response: Any) -> None:
        if response.status == HTTPStatus.NOT_FOUND:
            complaints.append(f"404 {response.url}")

    with ExitStack() as stack:

        def visit(
            language: str = "en-US", width: int = WIDE, colours: str = "light", address: str = url
        ) -> "Visitor":
            context = browser.new_context(
                locale=language,
                viewport={"width": width, "height": 900},
                color_scheme=colours,
                permissions=["clipboard-read", "clipboard-write"],
            )
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: complaints.append(message.text))
            page.on("response", not_found)
            page.goto(address)
            return Visitor(page)

        yield visit
    assert [each for each in complaints if EXPECTED not in each] == []


class Visitor:
    """A person at the page, who reads and presses what is visible."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pressed: set[str] = set()
        self.phone().wait_for()

    def text(self, key: str, **values: Any) -> str:
        """The text of this key in the language of the page."""
        script = "([key, values]) => import('/sandbox/words.js').then((m) => m.t(key, values))"
        return str(self.page.evaluate(script, [key, values]))

    def phone(self, number: int = 1) -> Any:
        return self.page.locator(".phone").nth(number - 1)

    def press(self, key: str, number: int | None = None) -> None:
        """Press the button with this text: on a phone, or elsewhere on the page."""
        place = self.page if number is None else self.phone(number)
        place.get_by_role("button", name=self.text(key), exact=True).first.click()
        self.pressed.add(key)

    def switch(self, key: str) -> None:
        self.page.get_by_role("switch", name=self.text(key)).click()

    def spoil_answers(self, fault: str) -> None:
        """Set a fault of the service's answers at the fault desk."""
        self.page.locator("#faults [name=fault]").select_option(f"answers {fault}")
        self.press("fault_set")
        self.fault_is(f"fault_{fault}")

    def fault_is(self, key: str) -> None:
        """Wait until the fault desk shows this state."""
        self.page.locator("#fault-state", has_text=self.text(key)).wait_for()

    def told(self, key: str, number: int = 1, **values: Any) -> None:
        """Wait until the phone tells this."""
        text = self.text(key, **values)
        self.phone(number).locator(".notice", has_text=text).wait_for()

    def advised(self, key: str) -> None:
        """Wait until the page says that this is the next step."""
        self.page.locator("#next", has_text=self.text(key)).wait_for()

    def state(self, key: str, number: int = 1) -> None:
        """Wait until the phone is in this state and at rest."""
        phone = self.phone(number)
        phone.locator("header .chip", has_text=self.text(key)).wait_for()
        self.page.locator('.phone[aria-busy="true"]').first.wait_for(state="detached")

    def sign_in(self, number: int = 1, answer: str = "allow") -> None:
        self.press("sign_in", number)
        self.state("state_consent", number)
        self.press(answer, number)

    def signed_in(self, number: int = 1) -> "Visitor":
        self.sign_in(number)
        self.told("say_login", number)
        self.state("state_in", number)
        return self

    def requests(self) -> list[str]:
        """Each request with its status and note, newest first."""
        summaries = self.page.locator("#steps summary").all_inner_texts()
        return [" ".join(text.split()) for text in summaries]

    def kept(self, number: int = 1) -> dict[str, Any]:
        """What the app on this phone has stored."""
        stored = self.page.evaluate(f"sessionStorage.getItem('sandbox-{number}')")
        return dict(json.loads(stored))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_button_does_what_it_says_in_both_languages(visit: Visit, language: str) -> None:
    someone = visit(language)
    page, press, told, state = someone.page, someone.press, someone.told, someone.state
    assert page.evaluate("document.documentElement.lang") == language.removesuffix("-US")

    someone.advised("next_sign_in")
    someone.sign_in(answer="cancel")
    state("state_out")
    assert "400" in someone.requests()[0]
    someone.signed_in().advised("next_trouble")
    assert [line.split()[-1] for line in someone.requests()][:3] == ["201", "200", "200"]
    first = someone.kept()

    press("refresh")
    told("say_refresh")
    assert someone.kept()["refresh_token"] != first["refresh_token"]
    press("call_api")
    told("say_call")

    press("add_phone")
    someone.signed_in(2)
    press("list", 1)
    someone.phone().locator(".sessions", has_text=someone.text("this_phone")).wait_for()
    press("end_others", 1)
    told("say_end_others")
    state("state_ended", 2)
    assert someone.phone(2).get_by_text("revoked", exact=True).is_visible()
    press("sign_in_again", 2)
    press("allow", 2)
    state("state_in", 2)
    press("log_out", 2)
    state("state_out", 2)

    press("steal", 1)
    told("say_caught")
    state("state_ended")
    assert someone.phone().get_by_text("refresh_reused", exact=True).is_visible()
    lines = someone.phone().locator("[data-part=history] li").all_inner_texts()
    told_by_history = [line.partition(" · ")[0] for line in lines]
    assert told_by_history == [
        someone.text(f"event_{event}") for event in ("ended", "refresh_reused", "opened")
    ]
    assert "\n" in lines[0]  # the explanation

    someone.spoil_answers("store_unavailable")
    press("fault_clear")
    someone.fault_is("fault_off")
    press("copy")
    page.get_by_role("button", name=someone.text("copied")).wait_for()
    press("clear")
    assert someone.requests() == []
    press("other_language")
    page.get_by_role("heading", name=someone.text("heading")).wait_for()

    buttons = page.locator("button[data-t]").evaluate_all("all => all.map((b) => b.dataset.t)")
    assert set(buttons) - {"grade_again"} <= someone.pressed


@pytest.mark.parametrize(
    ("language", "persona", "wait", "code"),
    [
        ("en-US", "blocked", "", "account_blocked"),
        ("zh-CN", "deleted", "", "account_blocked"),
        ("zh-CN", "lin", "too_late", "ticket_rejected"),
    ],
)
def test_a_refused_login_says_why_and_leaves_the_phone_signed_out(
    visit: Visit, language: str, persona: str, wait: str, code: str
) -> None:
    someone = visit(language, NARROW)
    someone.press("sign_in")
    someone.state("state_consent")
    someone.phone().get_by_label(someone.text("who")).select_option(persona)
    if wait:
        someone.phone().get_by_label(someone.text(wait)).check()
    someone.press("allow")
    someone.state("state_out")
    answer = someone.page.locator("#steps [data-part=answer]").first.inner_text()
    problem = json.loads(answer.partition("\n\n")[2])
    assert problem["code"] == code
    someone.told("say_failed", title=problem["title"], detail=problem["detail"])


def test_a_user_may_keep_the_phone_number(visit: Visit) -> None:
    someone = visit()
    someone.press("sign_in")
    someone.phone().get_by_label(someone.text("share_phone")).uncheck()
    someone.press("allow")
    someone.phone().get_by_text(someone.text("no_number")).wait_for()


@pytest.mark.parametrize(("switch", "told"), [("lose", "say_nothing_lost"), ("twice", "say_twice")])
def test_a_lost_or_doubled_request_brings_the_same_refresh_token(
    visit: Visit, switch: str, told: str
) -> None:
    someone = visit()
    someone.switch(switch)
    someone.sign_in()
    someone.told(told)
    someone.state("state_in")
    someone.switch(switch)
    someone.press("refresh")
    someone.told(told)
    someone.state("state_in")
    again = [line for line in someone.requests() if someone.text("note_same") in line]
    assert [line.split()[3] for line in again] == ["/v1/sessions/refresh", "/v1/sessions"]


def test_one_phone_of_each_type_replaces_the_first(visit: Visit) -> None:
    someone = visit().signed_in()
    someone.press("add_phone")
    someone.switch("one_phone")
    someone.sign_in(2)
    someone.state("state_in", 2)
    someone.state("state_ended")
    assert someone.phone().get_by_text("replaced", exact=True).is_visible()
    someone.switch("one_phone")
    someone.page.locator("#steps li").first.locator(".chip.good").wait_for()


def test_the_app_waits_out_a_fault(visit: Visit) -> None:
    someone, reason = visit(), "Sessions are unavailable for the moment"
    someone.spoil_answers("store_unavailable")
    someone.press("sign_in")
    someone.told("say_wait", reason=reason, seconds=2)
    someone.state("state_consent")
    again = [line for line in someone.requests() if someone.text("note_retry") in line]
    assert again == [f"iPhone 1 GET /v1/launch 200 {someone.text('note_retry')}"]
    someone.fault_is("fault_off")


def test_a_request_that_is_performed_twice_is_shown_as_a_replay(visit: Visit) -> None:
    someone = visit()
    someone.press("sign_in")
    someone.state("state_consent")
    someone.spoil_answers("doubled")
    someone.press("allow")
    someone.told("say_login")
    shown = f"iPhone 1 POST /v1/sessions 201 {someone.text('note_replayed')}"
    assert someone.requests()[0] == shown


def test_a_session_outlives_a_reload(visit: Visit) -> None:
    someone = visit().signed_in()
    before = someone.kept()
    someone.page.reload()
    someone.state("state_in")
    assert someone.kept() == before


def test_a_copied_curl_line_repeats_the_login(visit: Visit) -> None:
    program("curl")
    someone = visit().signed_in()
    someone.press("copy")
    line = someone.page.evaluate("navigator.clipboard.readText()")
    repeated = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=30)
    assert json.loads(repeated.stdout)["refresh_token"] == someone.kept()["refresh_token"]


def test_the_decoded_token_is_explained(visit: Visit) -> None:
    someone = visit().signed_in()
    someone.phone().get_by_text(someone.text("decoded")).click()
    claims = someone.phone().locator(".claims dt").all_inner_texts()
    assert {"alg", "kid", "typ", "iss", "aud", "sub", "sid", "jti", "exp"} <= set(claims)
    meanings = someone.phone().locator(".claims .hint").all_inner_texts()
    assert not [text for text in meanings if text.startswith("claim_")]


def test_the_keyboard_alone_signs_in_and_refreshes(visit: Visit) -> None:
    someone = visit()
    keyboard = someone.page.keyboard
    focused = "document.activeElement.textContent"
    for _ in range(10):
        keyboard.press("Tab")
        if someone.page.evaluate(focused) == someone.text("sign_in"):
            break
    keyboard.press("Enter")
    someone.state("state_consent")
    assert someone.page.evaluate(focused) == someone.text("allow")
    keyboard.press("Enter")
    someone.state("state_in")
    assert someone.page.evaluate(focused) == someone.text("refresh")
    keyboard.press("Space")
    someone.told("say_refresh")


def test_the_page_shows_the_grade_of_an_app(visit: Visit, serve: Serve) -> None:
    service = serve("sandbox --grade")
    someone = visit(address=service.url)
    total = someone.page.locator("#grade-total")
    total.get_by_text(someone.text("grade_total", passed=0, total=20)).wait_for()
    scenario = service.phone.post("/sandbox/api/grade/next").json()["scenario"]
    while service.phone.post("/sandbox/api/grade/next").json()["scenario"] == scenario:
        pass  # this app does nothing
    someone.press("grade_again")
    someone.page.locator("#grade-results li", has_text=scenario).locator("p").first.wait_for()


@pytest.mark.parametrize(
    ("language", "width", "colours"), [("en-US", WIDE, "light"), ("zh-CN", NARROW, "dark")]
)
def test_no_view_has_a_barrier_or_is_wider_than_the_screen(
    visit: Visit, language: str, width: int, colours: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    someone = visit(language, width, colours)

    def look(name: str) -> None:
        page = someone.page
        page.wait_for_timeout(250)  # transitions have ended
        found = axe.Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{width}-{colours}-{name}.png", full_page=True)

    look("1-first")
    someone.press("sign_in")
    someone.state("state_consent")
    look("2-consent")
    someone.switch("lose")
    someone.press("allow")
    someone.told("say_nothing_lost")
    someone.press("add_phone")
    someone.signed_in(2)
    someone.phone(2).get_by_text(someone.text("decoded")).click()
    someone.press("list", 2)
    someone.phone(2).locator(".sessions", has_text=someone.text("this_phone")).wait_for()
    look("3-session")
    someone.press("steal", 1)
    someone.told("say_caught")
    look("4-ended")
