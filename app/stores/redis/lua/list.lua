-- The user's active sessions, newest first, at most CHUNK. ARGV: subject.
local active = {}
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', INDEX_PREFIX .. ARGV[4], '+inf', 0,
    'LIMIT', 0, CHUNK)) do
  local flat = redis.call('HGETALL', SESSION_PREFIX .. id)
  if not inactive(row_of(flat)) then table.insert(active, flat) end
end
return active
