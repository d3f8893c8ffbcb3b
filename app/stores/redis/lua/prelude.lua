-- Precedes every script: the common arguments and functions.
--
-- command_id: identifies one command. After a lost reply the engine runs it a second time under the
--             same id. The script then finds this id and replies as the first run did.
-- again:      whether this is the second run.
-- now:        the caller's clock in epoch seconds, for all that expires.
-- issued, last: when the command was sent and when it may run at the latest, in epoch milliseconds
--             of the server's clock. One that arrives later was given up: it is stale, and changes
--             and judges nothing. `issued` is early by the way of a reply.
-- verdict:    'run', or 'stale' if nothing was done. The engine sends the command again then.
local command_id, again = ARGV[1], ARGV[2] == '1'
local now, issued, last = string.match(ARGV[3], '(%S+) (%S+) (%S+)')
now, issued = tonumber(now), tonumber(issued)
local verdict, CLOCK_TOLERANCE = 'run', 100
local time = redis.call('TIME')
local server_now = time[1] * 1000 + math.floor(time[2] / 1000)
if server_now < issued - CLOCK_TOLERANCE or server_now > tonumber(last) then
  return {server_now, 'stale'}
end

local TOMBSTONE_SECONDS = 7 * 24 * 3600

local function read(key)
  local flat = redis.call('HGETALL', key)
  if #flat == 0 then return nil end
  local row = {}
  for i = 1, #flat, 2 do row[flat[i]] = flat[i + 1] end
  return row
end

-- The reply for a session that is not active; nil if it is.
local function inactive(session)
  if not session then return {'unknown'} end
  if session.end_reason then return {'ended', session.end_reason, session.replaced_by or ''} end
  if tonumber(session.expires_at) <= now then return {'ended', 'expired', ''} end
  return nil
end

-- The tombstone keeps the reason; the profile is deleted at once.
local function finish(key, reason, replaced_by)
  redis.call('HSET', key, 'end_reason', reason, 'expires_at', now, 'command_id', command_id)
  if replaced_by then redis.call('HSET', key, 'replaced_by', replaced_by) end
  redis.call('HDEL', key, 'encrypted_profile')
  redis.call('EXPIRE', key, TOMBSTONE_SECONDS)
end

-- Calls visit(key, session) for each session of the user, oldest first. Removes sessions from the
-- index whose key has expired.
local function each_of(index, prefix, visit)
  for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    local session = read(prefix .. id)
    if session then visit(prefix .. id, session) else redis.call('ZREM', index, id) end
  end
end

-- Ends the user's sessions except `keep`; returns the ids that ended in this run or its first one.
-- For another clock, a session that has expired here may still be active. So it ends too.
local function end_all(index, prefix, reason, keep)
  local ended = {}
  each_of(index, prefix, function(key, session)
    if session.id ~= keep and not session.end_reason then
      finish(key, reason)
      table.insert(ended, session.id)
    elseif session.end_reason == reason and session.command_id == command_id then
      table.insert(ended, session.id)
    end
  end)
  return ended
end

-- A ticket that has not expired, as its row; nil if there is none.
local function current_ticket(key)
  local ticket = read(key)
  if ticket and tonumber(ticket.expires_at) > now then return ticket end
  return nil
end

-- Whether the idempotency key belongs to another ticket than `hash`.
local function key_conflict(key, prefix, hash, key_hash)
  local owner = key_hash ~= '' and redis.call('GET', key)
  if not owner or owner == hash then return false end
  local ticket = current_ticket(prefix .. owner)
  return ticket ~= nil and ticket.key_hash == key_hash
end

-- The reply for a ticket that has become a session. The session is only told to a login with the
-- same idempotency key, while it is active and has not been refreshed.
local function already_used(ticket, session_prefix, key_hash)
  if key_hash == '' or ticket.key_hash ~= key_hash then return {'already_used'} end
  local key = session_prefix .. ticket.session_id
  local session = read(key)
  if inactive(session) or session.generation ~= '0' then return {'already_used'} end
  return {'already_used', redis.call('HGETALL', key)}
end
