-- Notes that the append-only file was rewritten, unless there was another erasure meanwhile.
-- KEYS: erasure. ARGV: the value of `erasure` before.
if redis.call('GET', KEYS[1]) == ARGV[4] then redis.call('DEL', KEYS[1]) end
