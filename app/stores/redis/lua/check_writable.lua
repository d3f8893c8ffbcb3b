-- Writes a key that expires: only a server that runs scripts and accepts writes is ready.
-- KEYS: writable. ARGV: time to live (seconds).
redis.call('SET', KEYS[1], 1, 'EX', ARGV[4])
