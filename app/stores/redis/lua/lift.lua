-- Lifts the ban of the user, if there is one.
-- KEYS: ban, index of bans. ARGV: subject.
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[4])
