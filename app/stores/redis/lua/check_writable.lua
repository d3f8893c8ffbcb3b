-- Writes a key that expires: only a server that runs scripts and accepts writes is ready.
-- ARGV: time to live (seconds).
redis.call('SET', WRITABLE, 1, 'EX', ARGV[4])
