"""The two shapes in which an operator runs Valkey or Redis, started for a test: one server, and a
pair watched by sentinels. Nothing is kept on disk unless it is asked for.

Each shape has `url` (a STORE_URL), `flush` (forget all data) and `intact` (nothing of what a test
may do to it has been left behind: every process is there and in the role that it had at first).
A test that changes the configuration of a server starts one for itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

from tests.support.processes import soon
from tests.support.valkey.process import PLAIN, Server

__all__ = ["SentinelTrio", "Server", "sentinel_trio", "standalone"]

SERVICE = "mymaster"
_QUORUM = 2


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
class SentinelTrio:
    """A master, its replica, and three sentinels that promote the replica.

    A failover begins a second after the master's death.

    Sentinels wait ten seconds after one failover before the next one begins. A test with two
    failovers needs that time, or two trios.
    """

    pair: tuple[Server, Server]
    sentinels: tuple[Server, Server, Server]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def master(self) -> Server:
        """The server that the first sentinel names. During a failover, others may name another."""
        _, port = self.sentinels[0].cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        first, second = self.pair
        return first if first.port == int(port) else second

    @property
    def replica(self) -> Server:
        """The other server, dead or alive."""
        first, second = self.pair
        return second if self.master is first else first

    @property
    def intact(self) -> bool:
        first, second = self.pair
        servers = (*self.pair, *self.sentinels)
        return all(one.intact for one in servers) and self._settled(first, second)

    def flush(self) -> None:
        """Forget all data, in the replica too."""
        self.master.flush()
        assert self.master.cli("WAIT", 1, 5000) == 1

    def kill_master(self) -> Server:
        """Kill the present master; return it."""
        victim = self.master
        victim.kill()
        return victim

    def wait_for_failover(self, away_from: Server) -> Server:
        """Wait until all sentinels name the other one and it takes writes; return it."""
        first, second = self.pair
        other = second if away_from is first else first
        soon(lambda: self._named_by_all(other) and _role(other) == "master")
        return other

    def _settled(self, master: Server, replica: Server) -> bool:
        return self._named_by_all(master) and _follows(replica, master)

    def _named_by_all(self, server: Server) -> bool:
        ask = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return all(one.cli(*ask) == ["127.0.0.1", str(server.port)] for one in self.sentinels)


@contextmanager
def sentinel_trio(folder: Path) -> Iterator[SentinelTrio]:
    """A pair and three sentinels that know all servers."""
    with ExitStack() as stack:
        master, replica, *watchers = (
            stack.enter_context(Server(folder / name))
            for name in ("master", "replica", "sentinel-1", "sentinel-2", "sentinel-3")
        )
        master.arguments = PLAIN
        replica.arguments = (*PLAIN, "--replicaof", "127.0.0.1", str(master.port))
        _configure(watchers, master, replica)
        # The sentinels come last: a master that is slow to start would be replaced by its replica.
        master.start()
        replica.start()
        soon(lambda: _follows(replica, master))
        for watcher in watchers:
            watcher.start()
        first, second, third = watchers
        trio = SentinelTrio((master, replica), (first, second, third))
        # On a machine that stalls for a second they change places all the same.
        soon(lambda: trio._settled(trio.master, trio.replica) and all(map(_can_act, watchers)))
        yield replace(trio, pair=(trio.master, trio.replica))


def _configure(watchers: Sequence[Server], master: Server, replica: Server) -> None:
    """Write the configuration that sentinels would discover in their first ten seconds."""
    names = {one: token_hex(20) for one in watchers}
    for one in watchers:
        lines = [
            f"sentinel myid {names[one]}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} {_QUORUM}",
            f"sentinel down-after-milliseconds {SERVICE} 1000",
            f"sentinel failover-timeout {SERVICE} 5000",
            f"sentinel known-replica {SERVICE} 127.0.0.1 {replica.port}",
        ]
        lines += [
            f"sentinel known-sentinel {SERVICE} 127.0.0.1 {other.port} {names[other]}"
            for other in watchers
            if other is not one
        ]
        (one.folder / "sentinel.conf").write_text("\n".join(["bind 127.0.0.1", *lines, ""]))
        one.arguments = ("sentinel.conf", "--sentinel")


def _can_act(sentinel: Server) -> bool:
    """Whether it sees the two other sentinels, and a replica fit to be promoted."""
    peers = [_fields(peer) for peer in sentinel.cli("SENTINEL", "SENTINELS", SERVICE)]
    (replica,) = map(_fields, sentinel.cli("SENTINEL", "REPLICAS", SERVICE))
    fit = replica["flags"] == "slave" and replica["master-link-status"] == "ok"
    return fit and [peer["flags"] for peer in peers] == ["sentinel", "sentinel"]


def _fields(pairs: Sequence[str]) -> dict[str, str]:
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _follows(replica: Server, master: Server) -> bool:
    role = [str(word) for word in replica.cli("ROLE")[:4]]
    return role == ["slave", "127.0.0.1", str(master.port), "connected"]


def _role(server: Server) -> str:
    return str(server.cli("ROLE")[0])
