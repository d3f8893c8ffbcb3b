-- The sessions that ended after an event, oldest first, of at most CHUNK events. Returns 1 if there may
-- be more, the id and the session of the last event, and for each session: the id of the event, the
-- session, its subject, the reason, when it ended, and when its access tokens expire.
-- ARGV: id and session of an event, life of access tokens in seconds.
local after, session_id, access_ttl = ARGV[4], ARGV[5], tonumber(ARGV[6])
local known = redis.call('XRANGE', EVENTS, after, after)[1]
local first, last, found = '-', {'0-0', ''}, {}
if known and known[2][2] == session_id then
  first, last = '(' .. after, {after, session_id}
end
local page = redis.call('XRANGE', EVENTS, first, '+', 'COUNT', CHUNK)
for _, event in ipairs(page) do
  local id = event[2][2]
  last = {event[1], id}
  local subject, reason, ended_at, limit = unpack(redis.call('HMGET', SESSION_PREFIX .. id, 'subject',
    'end_reason', 'expires_at', 'absolute_expires_at'))
  local tokens_expire_at = reason and math.min(ended_at + access_ttl, tonumber(limit)) or 0
  if tokens_expire_at > ended_by then
    table.insert(found, {event[1], id, subject or '', reason, ended_at, tokens_expire_at})
  end
end
return {#page == CHUNK and 1 or 0, last, found}
