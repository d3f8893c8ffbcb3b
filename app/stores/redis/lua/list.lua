-- The user's living sessions, the first that was written first.
-- KEYS: index. ARGV: prefix of the sessions' keys.
local living = {}
each_of(KEYS[1], ARGV[4], function(key, session)
  if not over(session) then table.insert(living, redis.call('HGETALL', key)) end
end)
return living
