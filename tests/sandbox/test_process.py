"""The sandbox as a separate process."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from app.sandbox.__main__ import main

SECRET = "made-up-pool-secret-0123456789abcdef"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "app.sandbox", "--pool", "pool-1", "--secret", SECRET]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def test_the_process_prints_its_url_serves_and_ends_on_ctrl_c(
    process: subprocess.Popen[str],
) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    words, _, url = line.strip().rpartition(" ")
    assert words == "sandbox listening on"
    assert urlsplit(url).hostname == "127.0.0.1"
    with httpx.Client(base_url=url, trust_env=False) as client:
        ticket = client.post("/sandbox/tickets").json()["ticket"]
        body = {"ticket": ticket, "secret": SECRET}
        client.put("/sandbox/fault", json={"kind": "drop", "times": 1})
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            client.post("/oauth/app2wxapp/auth/pool-1", json=body)
        assert "_id" in client.post("/oauth/app2wxapp/auth/pool-1", json=body).json()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stdout.read() == ""


def test_a_process_without_a_pool_names_the_missing_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["--secret", SECRET])
    assert ending.value.code == 2
    assert "--pool" in capsys.readouterr().err
