"""The results: a Markdown table and an SVG plot, with the machine and the date."""

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from statistics import median, quantiles

from benchmarks.contenders import Contender, Scenario
from benchmarks.load import Result
from benchmarks.servers import ROOT

_LABEL, _WIDTH = 270, 900
_SLOWEST = 3.0, 2.0
"""Seconds for 512 logins at once: must, aim."""
_LOAD_AT_START = os.getloadavg()


@dataclass(slots=True)
class Row:
    """All rounds of one contender. `beside` are the service's rounds that alternated with them."""

    contender: Contender
    results: list[Result] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    beside: list[Result] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Successful requests a second, for each round."""
        return [rate(result) for result in self.results]

    @property
    def p99(self) -> float:
        """The median over the rounds, in milliseconds."""
        return 1000 * median(quantiles(one.latencies, n=100)[98] for one in self.results)

    @property
    def slowest(self) -> float:
        """The slowest request of all rounds, in seconds."""
        return max(max(one.latencies) for one in self.results)

    @property
    def errors(self) -> int:
        """Responses other than 2xx, and missing ones."""
        return sum(one.errors for one in self.results)

    @property
    def ratio(self) -> float | None:
        """The service's rate to this one, within the same rounds; None for the service itself."""
        if not self.beside:
            return None
        ratio = median(map(rate, self.beside)) / median(self.rates)
        return 1 / ratio if self.contender.inverted else ratio


def rate(result: Result) -> float:
    """Return the successful requests a second."""
    return len(result.latencies) / result.seconds


def markdown(tables: Sequence[tuple[Scenario, Sequence[Row]]], how: str, name: str) -> str:
    """Return the page. The first row of each scenario is the service."""
    parts = [f"# Benchmarks\n\n{machine()}\n{how}\n\n![requests a second]({name}.svg)\n"]
    for scenario, rows in tables:
        parts.append(f"## {scenario.title}\n")
        parts += _table(rows)
        parts += _verdicts(scenario, rows)
    return "\n".join(parts)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "| | requests/s (least to most) | p99 ms | slowest ms | CPU µs a request | core busy "
        "| errors | Ticketgate ÷ it | must | aim |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        done = sum(len(one.latencies) for one in row.results)
        spent, passed = sum(row.cpu), sum(one.seconds for one in row.results)
        ratio, must, aim = row.ratio, row.contender.must, row.contender.aim
        yield (
            f"| {row.contender.name} | {median(row.rates):,.0f} ({min(row.rates):,.0f} to "
            f"{max(row.rates):,.0f}) | {row.p99:.1f} | {1000 * row.slowest:.0f} | "
            f"{1e6 * spent / done:.0f} | {spent / passed:.0%} | {row.errors} | "
            f"{'' if ratio is None else f'{ratio:.2f}'} | {_least(must, ratio)} | "
            f"{_least(aim, ratio)} |"
        )
    yield ""


def _least(limit: float | None, ratio: float | None) -> str:
    if limit is None or ratio is None:
        return ""
    return f"≥ {limit:.3g}: {yes(ratio >= limit)}"


def _verdicts(scenario: Scenario, rows: Sequence[Row]) -> Iterator[str]:
    ours = rows[0]
    if scenario.burst:
        must, aim = (yes(ours.errors == 0 and ours.slowest <= most) for most in _SLOWEST)
        yield (
            f"{ours.errors} errors, the slowest login {ours.slowest:.2f} s. "
            f"Must: no error, ≤ {_SLOWEST[0]:g} s: {must}. Aim: ≤ {_SLOWEST[1]:g} s: {aim}.\n"
        )
    products = [row.p99 for row in rows if row.contender.product]
    if products and scenario.name in {"refresh", "authz"}:
        best = min(products)
        yield (
            f"p99 {ours.p99:.1f} ms, the best product peer's {best:.1f} ms. "
            f"Must: at most that: {yes(ours.p99 <= best)}. "
            f"Aim: at most half of it: {yes(ours.p99 <= best / 2)}.\n"
        )


def yes(met: bool) -> str:  # noqa: FBT001  # one word for one truth
    """Return a word for the table, in which a missed limit stands out."""
    return "yes" if met else "**no**"


def svg(tables: Sequence[tuple[Scenario, Sequence[Row]]]) -> str:
    """Return bars of the median requests a second with a line from the least to the most."""
    body, y = list[str](), 24
    for scenario, rows in tables:
        body.append(
            f'<text x="8" y="{y}" font-weight="bold">{scenario.title.replace("`", "")}</text>'
        )
        scale = (_WIDTH - _LABEL - 90) / max(max(row.rates) for row in rows)
        for number, row in enumerate(rows):
            body += _bar(row, y + 10 + 22 * number, scale)
        y += 40 + 22 * len(rows)
    size = f'width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}"'
    body.insert(0, '<rect width="100%" height="100%" fill="white"/>')
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="font:12px sans-serif">'
    return "\n".join((start, *body, "</svg>", ""))


def _bar(row: Row, y: int, scale: float) -> Iterator[str]:
    middle, least, most = (round(_LABEL + scale * of(row.rates)) for of in (median, min, max))
    colour = "#2a6fbb" if row.contender.peer is None else "#b8c0c8"
    yield f'<text x="8" y="{y + 13}">{escape(row.contender.name.replace("*", ""))}</text>'
    yield f'<rect x="{_LABEL}" y="{y}" width="{middle - _LABEL}" height="18" fill="{colour}"/>'
    yield f'<path d="M{least} {y + 9}H{most}" stroke="black"/>'
    yield f'<text x="{most + 8}" y="{y + 13}">{median(row.rates):,.0f}/s</text>'


def machine() -> str:
    """Return the date, the commit, the machine and its load, in one line."""
    cpu = (
        Path("/proc/cpuinfo")
        .read_text()
        .partition("model name")[2]
        .partition("\n")[0]
        .strip(" \t:")
    )
    versions = f"Python {platform.python_version()}, Node {_output('node', '--version')}"
    commit = _output("git", "rev-parse", "--short", "HEAD")
    kernel = platform.release().partition("-")[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}. "
        f"{cpu}, {os.cpu_count()} cores, Linux {kernel}, {versions}; "
        f"load average {_LOAD_AT_START[0]:.1f} at the start, {os.getloadavg()[0]:.1f} at the end."
    )


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "none"
    return done.stdout.strip()
