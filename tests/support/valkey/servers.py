"""The three shapes in which an operator runs Valkey or Redis, started for a test: one server, a
cluster, and a pair watched by sentinels. Nothing is kept on disk unless it is asked for.

Each shape has `url` (a STORE_URL), `flush` (forget all data) and `intact` (nothing of what a test
may do to it has been left behind: every process is there and in the role that it had at first).
A test that changes the configuration of a server starts one for itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.valkey import ports
from tests.support.valkey.process import PLAIN, Server, addresses, soon, start_together
from tests.support.valkey.sentinels import SentinelTrio, sentinel_trio

__all__ = ["Cluster", "SentinelTrio", "Server", "cluster", "sentinel_trio", "standalone"]

_SLOTS = 16384


@contextmanager
def standalone(
    folder: Path, *, appendonly: bool = False, extra: Sequence[str] = ()
) -> Iterator[Server]:
    """One server; `appendonly` lets it survive `kill`. `extra` is more of its command line."""
    keeps = ("--appendonly", "yes" if appendonly else "no")
    with Server(folder, *PLAIN, *keeps, *extra) as server:
        server.start()
        yield server


@dataclass(frozen=True)
class Cluster:
    """Three masters, each with a third of the slots and no replica."""

    nodes: tuple[Server, Server, Server]

    @property
    def url(self) -> str:
        return f"redis+cluster://{addresses(self.nodes)}"

    @property
    def intact(self) -> bool:
        return all(node.intact and _knows_all_slots(node) for node in self.nodes)

    def flush(self) -> None:
        for node in self.nodes:
            node.flush()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Three masters that have met. Takes two seconds, which a new master waits on principle."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(_cluster_node(folder / name)) for name in "abc"]
        start_together(nodes)
        _assign_slots(nodes)
        _introduce(nodes)
        soon(lambda: all(map(_knows_all_slots, nodes)))
        first, second, third = nodes
        yield Cluster((first, second, third))


@contextmanager
def _cluster_node(folder: Path) -> Iterator[Server]:
    with ports.reserve() as bus:
        own = ("--cluster-enabled", "yes", "--cluster-port", str(ports.number(bus)))
        with Server(folder, *PLAIN, *own, "--cluster-node-timeout", "5000") as node:
            yield node


def _assign_slots(nodes: Sequence[Server]) -> None:
    bounds = [_SLOTS * i // len(nodes) for i in range(len(nodes) + 1)]
    for i, node in enumerate(nodes):
        node.cli("CLUSTER", "ADDSLOTSRANGE", bounds[i], bounds[i + 1] - 1)
        node.cli("CLUSTER", "SET-CONFIG-EPOCH", i + 1)  # else they sort it out among themselves


def _introduce(nodes: Sequence[Server]) -> None:
    """Let everybody meet everybody: gossip would take seconds."""
    for node in nodes:
        for other in nodes:
            if other is not node:
                _, bus = other.cli("CONFIG", "GET", "cluster-port")
                node.cli("CLUSTER", "MEET", "127.0.0.1", other.port, bus)


def _knows_all_slots(node: Server) -> bool:
    return "cluster_state:ok" in node.cli("CLUSTER", "INFO")
