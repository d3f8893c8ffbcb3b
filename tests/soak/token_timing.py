"""Compare how long refusals of refresh tokens take: the time must not tell the reason.

Tokens that are refused for different reasons are sent in turn on one connection. The medians must
lie within one millisecond, which is less than a client can measure over a network.
"""

import argparse
import asyncio
import http.client
import json
import random
import statistics
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from app.sessions.tokens import issue_refresh_token, new_session_id
from tests.soak.phone import REFRESH, App
from tests.soak.run import Environment, Promise, environment, run
from tests.support.keys import read_keys

LIMIT = 0.001
"""Seconds."""


async def refused_tokens(running: Environment, keys: Path) -> dict[str, str]:
    """One token for each reason to refuse it."""
    secret_key = read_keys(keys).current_secret_key
    app = running.app("lin", App)
    await app.sign_in()
    revoked = app.received[0]
    await app.ask("DELETE", "/v1/sessions/current", Authorization=f"Bearer {app.access_token}")
    return {
        "revoked": revoked,
        "unknown": issue_refresh_token(secret_key, new_session_id(), 0),
        "unknown, another user": issue_refresh_token(secret_key, new_session_id(), 0),
        "wrong MAC, last byte": revoked[:-2] + ("A" if revoked[-2] != "A" else "Q") + revoked[-1],
        "wrong MAC, first byte": revoked[:30] + ("A" if revoked[30] != "A" else "B") + revoked[31:],
        "wrong MAC, none right": revoked[:-43] + "A" * 43,
    }


def measure(
    port: int | None, tokens: Mapping[str, str], rounds: int, choices: random.Random
) -> tuple[dict[str, list[float]], int]:
    """Seconds of each refusal, and how many responses were none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    seconds: dict[str, list[float]] = {kind: [] for kind in tokens}
    taken = 0
    for _ in range(rounds):
        for kind in choices.sample(list(tokens), len(tokens)):
            body = json.dumps({"refresh_token": tokens[kind]})
            began = time.perf_counter()
            connection.request("POST", REFRESH, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            seconds[kind].append(time.perf_counter() - began)
            taken += response.status != http.HTTPStatus.BAD_REQUEST
    connection.close()
    return seconds, taken


async def main(folder: Path, given: argparse.Namespace) -> int:
    async with environment(folder, given.seed) as running:
        tokens = await refused_tokens(running, folder / "keys.json")
        trial = partial(measure, running.running.service.port, tokens, choices=running.choices)
        await asyncio.to_thread(trial, given.rounds // 10)
        seconds, taken = await asyncio.to_thread(trial, given.rounds)
    medians = {kind: statistics.median(each) for kind, each in seconds.items()}
    fastest, slowest = min(medians.values()), max(medians.values())
    return running.conclude(
        {
            "refusals of each kind": given.rounds,
            **{
                f"half within, {kind}": f"{1000 * median:.3f} ms, {median / fastest:.2f} times"
                for kind, median in medians.items()
            },
            "between fastest and slowest": f"{1000 * (slowest - fastest):.3f} ms",
        },
        [
            Promise("differences of a millisecond or more", int(slowest - fastest >= LIMIT)),
            Promise("bad tokens that were taken", taken),
        ],
    )


if __name__ == "__main__":
    run(main, rounds=2000)
