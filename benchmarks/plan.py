"""How many cores and stores a number of users needs, from what one operation costs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

USERS = (1_000_000, 10_000_000, 100_000_000)
ACTIVE = 0.2
"""Share of the users that use the app on a day."""
PER_DAY = {"login": 0.1, "refresh": 10.0, "check": 60.0}
"""Operations of an active user on a day."""
PEAK = 5.0
"""Operations in the busiest second ÷ those in an average second."""
BUSY = 0.6
"""Share of a core in use in the busiest second, at most."""
STORED = 0.6
"""Stored sessions for each user, ended ones (kept for seven days) included."""
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Cost:
    """One operation: requests a second on a core, p99 in seconds; CPU seconds for each request."""

    rate: float
    p99: float
    process: float
    valkey: float

    def __str__(self) -> str:
        valkey = f"{1e6 * self.valkey:.0f} | {BUSY / self.valkey:,.0f}" if self.valkey else "|"
        return f"{self.rate:,.0f} | {1e3 * self.p99:.0f} | {1e6 * self.process:.0f} | {valkey}"


def peak(users: int) -> dict[str, float]:
    """Return each operation's number in the busiest second."""
    return {name: users * ACTIVE * per_day / _DAY * PEAK for name, per_day in PER_DAY.items()}


def plan(
    costs: Mapping[tuple[str, str], Cost], session_bytes: Mapping[str, float]
) -> Iterator[str]:
    """Yield the lines of a Markdown table.

    `costs` are by store and operation; `session_bytes`, the size of a stored session, by store.
    """
    yield (
        "| users | logins, refreshes, checks in the busiest second | SQLite: cores, file "
        "| Valkey: processes, Valkeys, memory in all |"
    )
    yield "|---|---|---|---|"
    for users in USERS:
        rates = peak(users)
        process = {
            store: sum(rates[name] * costs[store, name].process for name in rates) / BUSY
            for store in session_bytes
        }
        valkeys = ceil(sum(rates[name] * costs["Valkey", name].valkey for name in rates) / BUSY)
        size = {store: users * STORED * each / 2**30 for store, each in session_bytes.items()}
        yield (
            f"| {users:,} | {', '.join(f'{each:,.0f}' for each in rates.values())} "
            f"| {process['SQLite']:.1f}, {size['SQLite']:,.1f} GiB "
            f"| {ceil(process['Valkey']) + 1}, {valkeys}, {2 * size['Valkey']:,.1f} GiB |"
        )
