"""The curl lines of docs/backend.md work against a running service."""

import json
import os
import re
import subprocess

from tests.e2e.conftest import Authing, Serve
from tests.support.processes import ROOT
from tests.support.programs import program
from tests.support.running_app import SERVICE_KEY


def test_each_line_of_the_page_for_the_backend_works(
    serve: Serve, settings: dict[str, str], authing: Authing
) -> None:
    program("curl")
    page = (ROOT / "docs" / "backend.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    service = serve(**settings, SERVICE_API_KEYS=SERVICE_KEY)
    tokens = service.log_in(authing.ticket())
    values = {
        "SERVICE_API_KEY": SERVICE_KEY,
        "SUB": tokens["user"]["sub"],
        "ACCESS_TOKEN": tokens["access_token"],
        "CURSOR": "",
    }
    script = "".join(blocks).replace("https://login.example.com", service.url)
    script = re.sub(r"^curl ", "curl -sSf ", script, flags=re.MULTILINE)
    printed = subprocess.run(
        ["sh", "-euc", script], env=os.environ | values, check=True, capture_output=True, text=True
    ).stdout
    answers = [json.loads(line) for line in printed.splitlines() if line]
    feed, introspected, sessions, ban, bans, history = answers
    assert (feed["events"], introspected["active"]) == ([], True)
    assert [each["id"] for each in sessions] == [tokens["session"]["id"]]
    assert (ban["reason"], bans) == ("spam", [])
    events = {each["event"] for each in history["events"]}
    assert events == {"opened", "ended", "banned", "ban_lifted"}
