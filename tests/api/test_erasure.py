"""`DELETE /v1/me`: the store names an erased user no longer."""

from pathlib import Path

from tests.support.leaks import found
from tests.support.running_app import RunningApp, running_app


def at_rest(folder: Path) -> str:
    """All that the store has on the disk, byte for byte."""
    files = folder.glob("sessions.db*")
    return "".join(file.read_bytes().decode("latin-1") for file in files)


async def test_an_erased_user_is_nowhere_in_the_store_at_once(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        subject, remaining = await erase_one_of_two(app)
        running = at_rest(tmp_path)
    for stored in (running, at_rest(tmp_path)):
        assert remaining in stored
        assert found({"sub": subject}, stored) == set()


async def erase_one_of_two(app: RunningApp) -> tuple[str, str]:
    """Leave traces of two users wherever there may be some, and erase one."""
    ended, theirs = await app.log_in(), await app.log_in("chen")
    await app.log_out(ended)
    subject = ended["user"]["sub"]
    await app.backend("PUT", subject, "ban", {"reason": "spam"})
    await app.backend("DELETE", subject, "ban")
    tokens, other = await app.log_in(), await app.log_in()
    response = await app.delete("/v1/me", tokens)
    assert (response.status_code, response.content) == (204, b"")
    for erased in (tokens, other):
        assert (await app.get("/v1/me", erased)).json()["reason"] == "erased"
        assert (await app.try_refresh(erased["refresh_token"])).json()["reason"] == "erased"
    assert (await app.get("/v1/me", theirs)).status_code == 200
    return subject, theirs["user"]["sub"]
