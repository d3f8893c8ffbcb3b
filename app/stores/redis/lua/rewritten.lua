-- Notes that the append-only file was rewritten, unless there was another erasure meanwhile.
-- ARGV: the value of `erasure` before.
if redis.call('GET', ERASURE) == ARGV[4] then redis.call('DEL', ERASURE) end
