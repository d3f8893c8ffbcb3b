-- The bans in force, each as the user and the fields; those that last longest come first.
local found = {}
for _, subject in ipairs(redis.call('ZREVRANGEBYSCORE', BAN_INDEX, '+inf', '(' .. now,
    'LIMIT', 0, MAX_LISTED_BANS)) do
  local ban = redis.call('HGETALL', BAN_PREFIX .. subject)
  if #ban > 0 then table.insert(found, {subject, ban}) end
end
return found
