-- The user's active sessions, oldest first.
-- KEYS: index. ARGV: prefix of sessions.
local active = {}
each_of(KEYS[1], ARGV[4], function(key, session)
  if not inactive(session) then table.insert(active, redis.call('HGETALL', key)) end
end)
return active
