-- Lifts the ban of the user, if there is one.
-- KEYS: ban. ARGV: subject.
if older_than(tonumber(redis.call('HGET', KEYS[1], 'put_at') or 0)) then
  verdict = 'stale'
  return nil
end
local until_ = redis.call('HGET', KEYS[1], 'until')
-- A ban that is over takes its place, until no copy of an older command can still come.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'reason', '', 'created_at', 0, 'until', 0, 'put_at', server_now)
redis.call('PEXPIRE', KEYS[1], 2000)
redis.call('ZREM', BAN_INDEX, ARGV[4])
if until_ and (until_ == '' or tonumber(until_) > now) then note_ban(ARGV[4], 'ban_lifted') end
