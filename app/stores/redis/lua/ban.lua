-- Bans the user, or changes the ban, and ends all their sessions; returns the ids that ended.
-- KEYS: index, ban. ARGV: prefix of sessions, reason, until (empty: without end).
local index, ban = KEYS[1], KEYS[2]
local ends_at = tonumber(ARGV[6])
redis.call('DEL', ban)
redis.call('HSET', ban, 'reason', ARGV[5], 'created_at', now, 'until', ARGV[6])
if ends_at then redis.call('EXPIRE', ban, ends_at - now) end
return end_all(index, ARGV[4], 'banned', '')
