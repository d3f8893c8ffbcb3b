-- Precedes every script: the common arguments and functions.
--
-- command_id: identifies one command. After a lost reply the engine runs it a second time under the
--             same id. The script then finds this id and replies as the first run did.
-- CHUNK:      the highest limit of sessions per user. No script visits more sessions of a user, so
--             that other users need not wait.
-- again:      whether this is the second run.
-- now:        the caller's clock in epoch seconds, for all that expires.
-- issued, last: when the command was sent and when it may run at the latest, in epoch milliseconds
--             of the server's clock. One that arrives later was given up: it is stale, and changes
--             and judges nothing. `issued` is early by the way of a reply.
-- history_ttl: how long the history outlives a session, in seconds.
-- verdict:    'run', or 'stale' if nothing was done. The engine sends the command again then.
local command_id, again = ARGV[1], ARGV[2] == '1'
local now, issued, last, history_ttl = string.match(ARGV[3], '(%S+) (%S+) (%S+) (%S+)')
now, issued, history_ttl = tonumber(now), tonumber(issued), tonumber(history_ttl)
local verdict, CLOCK_TOLERANCE = 'run', 100
local time = redis.call('TIME')
local server_now = time[1] * 1000 + math.floor(time[2] / 1000)
if server_now < issued - CLOCK_TOLERANCE or server_now > tonumber(last) then
  return {server_now, 'stale'}
end

-- Whether something was written after this command was sent, by the server's time of the write. A
-- time that is still to come is of a clock that has jumped back.
local function older_than(written_at)
  return issued < written_at and written_at <= server_now
end

-- The caller's clock or the server's may be wrong. What ended before this has ended by both.
local ended_by = math.min(now, math.floor(server_now / 1000))
local TOMBSTONE_SECONDS = 7 * 24 * 3600

local function row_of(flat)
  if #flat == 0 then return nil end
  local row = {}
  for i = 1, #flat, 2 do row[flat[i]] = flat[i + 1] end
  return row
end

-- Writes fields that may be missing: a server without memory refuses them, and the command goes on.
local function note(key, ...)
  local reply = redis.pcall('HSET', key, ...)
  if type(reply) == 'table' and not string.find(reply.err, 'OOM', 1, true) then error(reply.err) end
end

local function read(key) return row_of(redis.call('HGETALL', key)) end

-- The reply for a session that is not active; nil if it is.
local function inactive(session)
  if not session then return {'unknown'} end
  if session.end_reason then return {'ended', session.end_reason, session.replaced_by or ''} end
  if tonumber(session.expires_at) <= now then return {'ended', 'expired', ''} end
  return nil
end

-- The user's sessions that have not ended, as ids, oldest first: at most `count`.
-- Each is in the index twice: by its creation, and with a negative score by its device type.
local function oldest(subject, count)
  return redis.call('ZRANGEBYSCORE', INDEX_PREFIX .. subject, 0, '+inf', 'LIMIT', 0, count)
end

local function leave_index(id, subject)
  redis.call('ZREM', INDEX_PREFIX .. subject, id, ':' .. id)
end

-- Writes fields of the session's record in the history, which is kept for `life` and `history_ttl`
-- seconds. With a new field, all are written: a session may be older than the history.
local function record(session, life, ...)
  local key, index = RECORD_PREFIX .. session.id, RECORDS_PREFIX .. session.subject
  if redis.call('HSET', key, ...) > 0 then
    redis.call('HSET', key, 'device_type', session.device_type or '', 'refreshes', session.generation,
      'created_at', session.created_at, 'last_used_at', session.last_used_at,
      'absolute_expires_at', session.absolute_expires_at, ...)
    redis.call('ZADD', index, session.created_at, session.id)
    for _, oldest in ipairs(redis.call('ZRANGE', index, 0, -1 - CHUNK)) do
      redis.call('DEL', RECORD_PREFIX .. oldest)
      redis.call('ZREM', index, oldest)
    end
    local ttl = session.absolute_expires_at - now + history_ttl
    if redis.call('TTL', index) < ttl then redis.call('EXPIRE', index, ttl) end
  end
  redis.call('EXPIRE', key, life + history_ttl)
end

-- Notes in the record how often an event has happened to the session, and when first and last.
-- A session that is older than the history has no record yet.
local function happened(id, event)
  local key = RECORD_PREFIX .. id
  if redis.call('EXISTS', key) == 0 then return end
  local count, first = string.match(redis.call('HGET', key, event) or '0 ' .. now, '(%d+) (%d+)')
  note(key, event, string.format('%d %s %d', count + 1, first, now))
end

-- Notes in the history that the user was banned, or that the ban was lifted. A ban is put again while
-- there are sessions to end, at the same time.
local function note_ban(subject, event)
  local key, entry = BAN_NOTES_PREFIX .. subject, string.format('%s 1 %d %d', event, now, now)
  if redis.call('LINDEX', key, -1) ~= entry then redis.call('RPUSH', key, entry) end
  redis.call('LTRIM', key, -100, -1)
  redis.call('EXPIRE', key, history_ttl)
end

-- Ends the session. The record gets the cause; a session that has expired is recorded as expired. The
-- tombstone keeps the reason; the profile and the device key are deleted at
-- once. Only an erasure reads the list of the user's tombstones.
-- HDEL is the first write, because a server without memory allows it, and then the rest too.
local function finish(id, subject, reason, cause, replaced_by)
  local key, tombstones = SESSION_PREFIX .. id, TOMBSTONES_PREFIX .. subject
  local session = read(key)
  redis.call('HDEL', key, 'encrypted_profile', 'key_thumbprint', 'seen_proofs')
  redis.call('HSET', key, 'end_reason', reason, 'replaced_by', replaced_by or '',
    'expires_at', now, 'command_id', command_id)
  redis.call('EXPIRE', key, TOMBSTONE_SECONDS)
  leave_index(id, subject)
  local expired = tonumber(session.expires_at) < now
  record(session, 0, 'end_reason', expired and 'expired' or reason, 'end_cause', cause or '',
    'replaced_by', replaced_by or '', 'expires_at', expired and session.expires_at or now)
  -- The rest of the event is in the tombstone, so that an erasure finds it there.
  if reason ~= 'expired' then
    redis.call('XADD', EVENTS, '*', 'session_id', id)
    redis.call('EXPIRE', EVENTS, TOMBSTONE_SECONDS)
  end
  local count = redis.call('RPUSH', tombstones, id)
  redis.call('EXPIRE', tombstones, TOMBSTONE_SECONDS)
  -- One end in eight removes up to sixteen that have expired. So the list does not grow for ever.
  for _ = 1, count % 8 == 0 and 16 or 0 do
    local first = redis.call('LINDEX', tombstones, 0)
    if redis.call('EXISTS', SESSION_PREFIX .. first) == 1 then break end
    redis.call('LPOP', tombstones)
  end
end

-- The ids that the first run of this command ended for this reason. Empty in a first run.
local function ended_by_first_run(subject, reason)
  local ids = {}
  if not again then return ids end
  for _, id in ipairs(redis.call('LRANGE', TOMBSTONES_PREFIX .. subject, -CHUNK, -1)) do
    local found = redis.call('HMGET', SESSION_PREFIX .. id, 'command_id', 'end_reason')
    if found[1] == command_id and found[2] == reason then table.insert(ids, id) end
  end
  return ids
end

-- Ends the user's sessions except `keep`, at most CHUNK. Returns 1 if there may be more, and the ids
-- that ended in this run or its first one. Sessions that have expired end too: by the clock of
-- another instance they may be active. A command older than one of the sessions is stale: nil.
local function end_chunk(subject, reason, keep, by)
  local ended = ended_by_first_run(subject, reason)
  if #ended > 0 then return {1, unpack(ended)} end
  local ids, found = oldest(subject, CHUNK), {}
  for _, id in ipairs(ids) do
    local session = redis.call('HMGET', SESSION_PREFIX .. id, 'id', 'opened_at')
    if older_than(tonumber(session[2] or 0)) then
      verdict = 'stale'
      return nil
    end
    found[id] = session[1]
  end
  for _, id in ipairs(ids) do
    if not found[id] then
      leave_index(id, subject)
    elseif id ~= keep then
      finish(id, subject, reason, by)
      table.insert(ended, id)
    end
  end
  return {#ids == CHUNK and 1 or 0, unpack(ended)}
end

-- A ticket that has not expired, as its row; nil if there is none.
local function current_ticket(key)
  local ticket = read(key)
  if ticket and tonumber(ticket.expires_at) > now then return ticket end
  return nil
end

-- Whether the idempotency key belongs to another ticket than `hash`.
local function key_conflict(key, hash, key_hash)
  local owner = key_hash ~= '' and redis.call('GET', key)
  if not owner or owner == hash then return false end
  local ticket = current_ticket(TICKET_PREFIX .. owner)
  return ticket ~= nil and ticket.key_hash == key_hash
end

-- The reply for a ticket that has become a session. The session is only told to a login with the
-- same idempotency key, while it is active and has not been refreshed.
local function already_used(ticket, key_hash)
  if key_hash == '' or ticket.key_hash ~= key_hash then return {'already_used'} end
  local key = SESSION_PREFIX .. ticket.session_id
  local session = read(key)
  if inactive(session) or session.generation ~= '0' then return {'already_used'} end
  if not again then happened(session.id, 'login_replayed:') end
  return {'already_used', redis.call('HGETALL', key)}
end
