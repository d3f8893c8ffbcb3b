-- Writes a key that expires: only a server that runs scripts and accepts writes is ready.
redis.call('SET', WRITABLE, 1, 'EX', 60)
