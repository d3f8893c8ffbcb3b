-- Bans the user, or changes the ban, and ends all their sessions; returns the ids that ended.
-- KEYS: index, ban, index of bans.
-- ARGV: prefix of sessions, reason, until (empty: without end), subject.
local index, ban, bans = KEYS[1], KEYS[2], KEYS[3]
local ends_at = tonumber(ARGV[6])
redis.call('DEL', ban)
redis.call('HSET', ban, 'reason', ARGV[5], 'created_at', now, 'until', ARGV[6])
if ends_at then redis.call('EXPIRE', ban, ends_at - now) end

-- The index expires with its last ban.
redis.call('ZADD', bans, ends_at or '+inf', ARGV[7])
redis.call('ZREMRANGEBYSCORE', bans, '-inf', now)
local last_end = tonumber(redis.call('ZRANGE', bans, -1, -1, 'WITHSCORES')[2])
if last_end < math.huge then
  redis.call('EXPIRE', bans, last_end - now)
else
  redis.call('PERSIST', bans)
end
return end_all(index, ARGV[4], 'banned', '')
