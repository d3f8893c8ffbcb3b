"""Who asks in the moment in which the server leaves is answered, and not asked to come again."""

import asyncio
import socket
from typing import Any

import uvloop

from app.server.draining import Drain, bind, build_server
from app.server.protocol import Parser
from tests.server.conftest import PATIENCE, House, Serve, answers, one_answer, until, until_end
from tests.server.examples import GET, get

LATE = 20


async def test_while_it_drains_every_answer_closes_its_connection(serve: Serve) -> None:
    drain = Drain()
    house = await serve(drain=drain)
    async with house.connected() as (reader, writer):
        writer.write(get())
        assert "connection" not in (await one_answer(reader)).headers
        drain.start()
        writer.write(get())
        (last,) = answers(await until_end(reader))
        assert (last.status, last.headers["connection"]) == (200, "close")


async def test_half_a_request_may_be_completed_while_it_leaves(serve: Serve) -> None:
    house = await serve()
    assert house.server is not None
    async with house.connected() as (reader, writer):
        writer.write(GET)
        await until(lambda: any(gate._reader.has_begun for gate in _gates(house)))
        (gate,) = _gates(house)
        house.server.should_exit = True
        await until(lambda: gate._leaving)
        writer.write(b"\r\n")
        (answer,) = answers(await until_end(reader))
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def _gates(house: House) -> set[Any]:
    assert house.server is not None
    return house.server.server_state.connections


def test_who_has_connected_but_was_not_taken_in_yet_is_answered(parser: Parser) -> None:
    # Over the loop of production; asyncio's own drops whom it is just taking in when it closes.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        said = runner.run(_ask_while_it_leaves(parser))
    assert [answer.status for (answer,) in map(answers, said)] == [200] * LATE


async def _ask_while_it_leaves(parser: Parser) -> list[bytes]:
    house = House(parser)
    server = build_server(
        house.application,
        drain=Drain(),
        drain_delay=0,
        shutdown_timeout=5,
        on_start=lambda _port: None,
        parser=parser,
    )
    with bind("127.0.0.1", 0) as listener:
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup([listener])
        # Nothing is awaited here, so they wait in the kernel's queue when the server leaves.
        late = [socket.create_connection(listener.getsockname(), PATIENCE) for _ in range(LATE)]
        leaving = asyncio.create_task(server.shutdown([listener]))
        await asyncio.sleep(0)
        said = await asyncio.gather(*(asyncio.to_thread(_ask, each) for each in late))
        await leaving
    return said


def _ask(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as answer:
        connection.sendall(get())
        return answer.read()
