-- Stores a new session and notes that the ticket became it, unless the ticket has become another
-- or the user is banned. Ends the sessions that the new one replaces.
-- KEYS: ticket, idempotency key, session, ban.
-- ARGV: ticket hash, key hash (or empty), holder, lease_ends_at, expires_at, max_per_user, one per device type ('1' or '0'), minimum life of the
-- index in seconds, subject, version of the app (or empty), then the session's fields and values in turn.
local ticket_key, idempotency_key, key, ban = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local hash, key_hash, holder, lease_ends_at, ticket_expires_at = unpack(ARGV, 4, 8)
local max_per_user, one_per_device_type = tonumber(ARGV[9]), ARGV[10] == '1'
local index_ttl, subject, app_version, FIRST_FIELD = tonumber(ARGV[11]), ARGV[12], ARGV[13], 14

-- When the session expires, if it is active. One that has expired by both clocks ends; one whose key
-- is gone leaves the index.
local function active_until(id)
  local expires_at = redis.call('HGET', SESSION_PREFIX .. id, 'expires_at')
  if not expires_at then
    leave_index(id, subject)
  elseif tonumber(expires_at) > ended_by then
    return tonumber(expires_at)
  else
    finish(id, subject, 'expired')
  end
  return nil
end

-- Removes what has expired from the index. Until the next session expires, and for an hour at most,
-- `swept` says that there is nothing to remove, so that not every login reads all sessions.
local function sweep(swept)
  local next_expiry = ended_by + 3600
  for _, id in ipairs(oldest(subject, CHUNK)) do
    next_expiry = math.min(next_expiry, active_until(id) or next_expiry)
  end
  redis.call('SET', swept, 1, 'EX', next_expiry - ended_by)
end

-- Devices of one type have the same negative score.
local function type_score(device_type)
  return -1 - tonumber(string.sub(redis.sha1hex(device_type), 1, 8), 16)
end

-- Ends the sessions that a new one on this type of device replaces; returns their ids.
local function replace(device_type)
  local index, swept, replaced = INDEX_PREFIX .. subject, SWEPT_PREFIX .. subject, {}
  local function replace_each(ids, limit)
    for _, id in ipairs(ids) do
      if active_until(id) then
        finish(id, subject, 'replaced', limit, device_type)
        table.insert(replaced, id)
      end
    end
  end
  if one_per_device_type and device_type then
    local score, same_type = type_score(device_type), {}
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, score, score, 'LIMIT', 0, CHUNK)) do
      table.insert(same_type, string.sub(member, 2))
    end
    replace_each(same_type, 'one_per_device_type')
  end
  local surplus = redis.call('ZCOUNT', index, 0, '+inf') + 1 - max_per_user
  if surplus > 0 and redis.call('EXISTS', swept) == 0 then
    sweep(swept)
    surplus = redis.call('ZCOUNT', index, 0, '+inf') + 1 - max_per_user
  end
  if surplus > 0 then replace_each(oldest(subject, math.min(surplus, CHUNK)), 'max_per_user') end
  return replaced
end

local function add_to_index(session)
  local index = INDEX_PREFIX .. subject
  -- Ordered by second, and within a second in the order of writing.
  local first, last = now * 1000000, now * 1000000 + 999999
  local newest = redis.call('ZREVRANGEBYSCORE', index, last, first, 'WITHSCORES', 'LIMIT', 0, 1)
  redis.call('ZADD', index, newest[2] and newest[2] + 1 or first, session.id)
  if session.device_type then
    redis.call('ZADD', index, type_score(session.device_type), ':' .. session.id)
  end
  if redis.call('TTL', index) < index_ttl then redis.call('EXPIRE', index, index_ttl) end
end

local function note_session(ticket, session_id)
  if not ticket then
    -- Another login took over the lease and released it. The idempotency key may already belong
    -- to another ticket.
    local conflict = key_conflict(idempotency_key, hash, key_hash)
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
  if SESSION_PREFIX .. ticket.session_id == key then
    return {'opened', ended_by_first_run(subject, 'replaced')}
  end
  return already_used(ticket, key_hash)
end
local until_ = redis.call('HGET', ban, 'until')
if until_ and (until_ == '' or tonumber(until_) > now) then
  if ticket and ticket.holder == holder then redis.call('DEL', ticket_key) end
  return {'banned', until_}
end

-- HSET is the first write, because a server without memory refuses it.
redis.call('HSET', key, 'opened_at', server_now, unpack(ARGV, FIRST_FIELD))
local session = read(key)
redis.call('EXPIRE', key, tonumber(session.expires_at) - now + TOMBSTONE_SECONDS)
local replaced = replace(session.device_type)
add_to_index(session)
note_session(ticket, session.id)
record(session, session.expires_at - now, 'expires_at', session.expires_at, 'app_version', app_version)
if session.key_thumbprint then happened(session.id, 'session_bound:') end
return {'opened', replaced}
