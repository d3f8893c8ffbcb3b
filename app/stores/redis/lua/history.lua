-- The records of a user's sessions or of one session, each as its id and fields, and the notes about
-- the user's bans. ARGV: subject, id of the session (one of them empty).
local subject, ids, found = ARGV[4], {ARGV[5]}, {}
if subject ~= '' then ids = redis.call('ZREVRANGE', RECORDS_PREFIX .. subject, 0, -1) end
for _, id in ipairs(ids) do
  local flat = redis.call('HGETALL', RECORD_PREFIX .. id)
  if #flat > 0 then table.insert(found, {id, flat}) end
end
return {found, redis.call('LRANGE', BAN_NOTES_PREFIX .. subject, 0, -1)}
