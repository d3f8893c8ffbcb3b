"""The sessions that the service has left in its Valkey, read after its end."""

from redis.asyncio import Redis

from app.stores.redis.codec import SESSION_PREFIX
from tests.soak.store_file import Kept


async def read_shared_store(url: str) -> Kept:
    """Read whose each session is, tombstones included."""
    subjects: dict[str, str] = {}
    async with Redis.from_url(url, decode_responses=True, protocol=2) as client:
        async for key in client.scan_iter(SESSION_PREFIX + "*", count=1000):
            session_id = str(key).rpartition(":")[2]
            subjects[session_id] = str(await client.hget(key, "subject"))
    return Kept(subjects, "")
