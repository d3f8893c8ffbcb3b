"""The commands and examples that a reader copies from the pages work."""

import json
import os
import re
import subprocess
from typing import Any

from tests.e2e.conftest import Authing, Serve
from tests.support.processes import ROOT
from tests.support.programs import program
from tests.support.running_app import SERVICE_KEY

README, SANDBOX, MOBILE, BACKEND = (
    (ROOT / name).read_text("utf-8")
    for name in ("README.md", "docs/sandbox.md", "docs/mobile.md", "docs/backend.md")
)


def marked(page: str, name: str) -> str:
    """The code block between `<!-- name -->` and `<!-- /name -->`."""
    section = page.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
    block = re.search(r"```\w+\n(.*?)```", section, re.DOTALL)
    assert block
    return block[1]


def run_in_shell(lines: str, url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    for name in ("sh", "curl", "sed", "tee"):
        program(name)
    script = re.sub(r"http://127.0.0.1:8000|https://login.example.com", url, lines)
    return subprocess.run(
        ["sh", "-eu", "-c", script],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )


def json_lines(text: str) -> list[Any]:
    """The answers of a shell, each in a line of its own."""
    return [json.loads(line) for line in text.splitlines() if line]


def names_in(value: Any) -> Any:
    """The names of all members, without their values."""
    return {k: names_in(v) for k, v in value.items()} if isinstance(value, dict) else None


def test_the_lines_to_try_and_those_of_the_sandbox_page_all_answer(serve: Serve) -> None:
    url = serve("sandbox").url
    shell = run_in_shell(marked(README, "try"), url)
    tokens, me = json.loads(shell.stderr), json.loads(shell.stdout)
    assert tokens["refresh_token"].startswith("rt_")
    assert me == tokens["user"]
    assert names_in(tokens) == names_in(json.loads(marked(README, "example")))

    shell = run_in_shell(marked(SANDBOX, "try"), url)
    ticket, switches, stats = json_lines(shell.stdout)
    assert ticket.keys() == {"ticket", "ext_msg", "expires_in", "user_pool_id"}
    assert switches["shape"] == "envelope_string"
    assert stats["tickets_issued"] == 2  # one of each page

    shell = run_in_shell(marked(SANDBOX, "faults"), url)
    faults = [(each["of"], each["kind"]) for each in json_lines(shell.stdout)]
    assert faults == [
        ("answers", "store_unavailable"),
        ("exchange", "slow"),
        ("exchange", "slow"),
        ("exchange", "none"),
    ]


def test_the_lines_of_the_page_for_apps_lose_two_responses_without_harm(serve: Serve) -> None:
    shell = run_in_shell(marked(MOBILE, "try"), serve("sandbox").url)
    launch, first, rotated, replayed = json_lines(shell.stdout)

    assert launch["user_name"].startswith("gh_")
    assert [rotated["outcome"], replayed["outcome"]] == ["rotated", "replayed"]
    assert {each["session"]["id"] for each in (first, rotated, replayed)} == {
        first["session"]["id"]
    }
    assert rotated["refresh_token"] == replayed["refresh_token"]
    assert names_in(rotated) == names_in(json.loads(marked(MOBILE, "tokens")))


def test_each_line_of_the_page_for_the_backend_works(
    serve: Serve, settings: dict[str, str], authing: Authing
) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", BACKEND, re.MULTILINE | re.DOTALL)
    script = re.sub(r"^curl ", "curl -sSf ", "".join(blocks), flags=re.MULTILINE)
    service = serve(**settings, SERVICE_API_KEYS=SERVICE_KEY)
    tokens = service.log_in(authing.ticket())
    printed = run_in_shell(
        script,
        service.url,
        SERVICE_API_KEY=SERVICE_KEY,
        SUB=tokens["user"]["sub"],
        ACCESS_TOKEN=tokens["access_token"],
        CURSOR="",
    ).stdout
    feed, introspected, sessions, ban, bans, history = json_lines(printed)
    assert (feed["events"], introspected["active"]) == ([], True)
    assert [each["id"] for each in sessions] == [tokens["session"]["id"]]
    assert (ban["reason"], bans) == ("spam", [])
    events = {each["event"] for each in history["events"]}
    assert events == {"opened", "ended", "banned", "ban_lifted"}
