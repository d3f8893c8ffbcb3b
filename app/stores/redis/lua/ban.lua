-- Bans the user, or changes the ban, and ends a chunk of their sessions; returns 1 if
-- there may be more, and the ids that ended.
-- KEYS: ban. ARGV: subject, reason, until (empty: without end).
local ban, bans = KEYS[1], BAN_INDEX
local subject, ends_at = ARGV[4], tonumber(ARGV[6])
if older_than(tonumber(redis.call('HGET', ban, 'put_at') or 0)) then
  verdict = 'stale'
  return nil
end
redis.call('DEL', ban)
redis.call('HSET', ban, 'reason', ARGV[5], 'created_at', now, 'until', ARGV[6],
  'put_at', server_now)
if ends_at then redis.call('EXPIRE', ban, ends_at - ended_by) end

-- The index expires with its last ban.
redis.call('ZADD', bans, ends_at or '+inf', subject)
redis.call('ZREMRANGEBYSCORE', bans, '-inf', ended_by)
local last_end = tonumber(redis.call('ZRANGE', bans, -1, -1, 'WITHSCORES')[2])
if last_end < math.huge then
  redis.call('EXPIRE', bans, last_end - ended_by)
else
  redis.call('PERSIST', bans)
end
note_ban(subject, 'banned')
return end_chunk(subject, 'banned', '')
