-- Stores a new session and notes that the ticket became it, unless the ticket has become another
-- or the user is banned. Ends the sessions that the new one replaces.
-- KEYS: ticket, idempotency key, session, index, ban.
-- ARGV: prefix of tickets, prefix of sessions, ticket hash, key hash (or empty), holder,
-- lease_ends_at, expires_at, max_per_user (0: any number), one per device type ('1' or '0'),
-- minimum life of the index in seconds, then the session's fields and values in turn.
local ticket_key, idempotency_key, key, index, ban = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ticket_prefix, session_prefix, hash, key_hash = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local holder, lease_ends_at, ticket_expires_at = ARGV[8], ARGV[9], ARGV[10]
local max_per_user, one_per_device_type = tonumber(ARGV[11]), ARGV[12] == '1'
local index_ttl, FIRST_FIELD = tonumber(ARGV[13]), 14

local function replaced_by_first_run()
  local ids = {}
  each_of(index, session_prefix, function(_, session)
    if session.end_reason == 'replaced' and session.command_id == command_id then
      table.insert(ids, session.id)
    end
  end)
  return ids
end

local function over_limit(device_type)
  local same_type, others = {}, {}
  if max_per_user == 0 and not one_per_device_type then return same_type end
  each_of(index, session_prefix, function(_, session)
    if inactive(session) then return end
    local same = one_per_device_type and device_type and session.device_type == device_type
    table.insert(same and same_type or others, session)
  end)
  if max_per_user > 0 then
    for i = 1, #others + 1 - max_per_user do table.insert(same_type, others[i]) end
  end
  return same_type
end

local function note_session(ticket, session_id)
  if not ticket then
    -- Another login took over the lease and released it. The idempotency key may already belong
    -- to another ticket.
    local conflict = key_conflict(idempotency_key, ticket_prefix, hash, key_hash)
    local ttl = math.max(ticket_expires_at - now, 1)
    redis.call('HSET', ticket_key, 'holder', holder, 'key_hash', conflict and '' or key_hash,
      'lease_ends_at', lease_ends_at, 'expires_at', ticket_expires_at)
    redis.call('EXPIRE', ticket_key, ttl)
    if key_hash ~= '' and not conflict then redis.call('SET', idempotency_key, hash, 'EX', ttl) end
  end
  redis.call('HSET', ticket_key, 'session_id', session_id)
end

local ticket = read(ticket_key)
if ticket and ticket.session_id then
  if session_prefix .. ticket.session_id == key then return {'opened', replaced_by_first_run()} end
  return already_used(ticket, session_prefix, key_hash)
end
local until_ = redis.call('HGET', ban, 'until')
if until_ and (until_ == '' or tonumber(until_) > now) then
  if ticket and ticket.holder == holder then redis.call('DEL', ticket_key) end
  return {'banned', until_}
end

redis.call('HSET', key, unpack(ARGV, FIRST_FIELD))
local session = read(key)
local replaced = {}
for _, old in ipairs(over_limit(session.device_type)) do
  finish(session_prefix .. old.id, 'replaced', session.device_type)
  table.insert(replaced, old.id)
end
redis.call('EXPIRE', key, tonumber(session.expires_at) - now + TOMBSTONE_SECONDS)
-- Ordered by second, and within a second in the order of writing.
local first, last = now * 1000000, now * 1000000 + 999999
redis.call('ZADD', index, first + redis.call('ZCOUNT', index, first, last), session.id)
if redis.call('TTL', index) < index_ttl then redis.call('EXPIRE', index, index_ttl) end
note_session(ticket, session.id)
return {'opened', replaced}
