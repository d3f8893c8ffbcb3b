-- The user's sessions that have not ended, newest first, at most CHUNK. ARGV: subject.
local found = {}
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', INDEX_PREFIX .. ARGV[4], '+inf', 0,
    'LIMIT', 0, CHUNK)) do
  local flat = redis.call('HGETALL', SESSION_PREFIX .. id)
  if #flat > 0 then table.insert(found, flat) end
end
return found
