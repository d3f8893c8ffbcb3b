-- Lifts the ban of the user, if there is one.
-- KEYS: ban, index of bans. ARGV: subject.
if older_than(tonumber(redis.call('HGET', KEYS[1], 'put_at') or 0)) then
  verdict = 'stale'
  return nil
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[4])
