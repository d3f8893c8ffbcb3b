-- The bans in force, each as the user and the fields; those that last longest come first.
-- KEYS: index of bans. ARGV: prefix of bans, the largest number.
local found = {}
for _, subject in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. now,
    'LIMIT', 0, ARGV[5])) do
  local ban = redis.call('HGETALL', ARGV[4] .. subject)
  if #ban > 0 then table.insert(found, {subject, ban}) end
end
return found
