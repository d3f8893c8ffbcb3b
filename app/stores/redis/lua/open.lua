-- Keeps a new session, unless the user is banned, and ends what it replaces. Run for a session that
-- is there already, it changes nothing and answers as the first time.
-- KEYS: session, index, ban. ARGV: prefix of the sessions' keys, how many sessions a user may have
-- (0: any number), whether one per device type, how long the index lives at least (seconds),
-- then the session's fields and values in turn. `attempt` is the session's id.
local key, index, ban = KEYS[1], KEYS[2], KEYS[3]
local prefix, max_per_user = ARGV[4], tonumber(ARGV[5])
local one_per_device_type, index_ttl = ARGV[6] == '1', tonumber(ARGV[7])

local function replaced_before()
  local ids = {}
  each_of(index, prefix, function(_, session)
    if session.ending == 'replaced' and session.attempt == attempt then
      table.insert(ids, session.id)
    end
  end)
  return ids
end

local function surplus(device_type)
  local same_type, others = {}, {}
  each_of(index, prefix, function(_, session)
    if over(session) then return end
    local same = one_per_device_type and device_type and session.device_type == device_type
    table.insert(same and same_type or others, session)
  end)
  if max_per_user > 0 then
    for i = 1, #others + 1 - max_per_user do table.insert(same_type, others[i]) end
  end
  return same_type
end

local function in_force(until_)
  return until_ and (until_ == '' or tonumber(until_) > now)
end

if redis.call('EXISTS', key) == 1 then
  return {'opened', replaced_before()}
end
local ban_until = redis.call('HGET', ban, 'until')
if in_force(ban_until) then return {'banned', ban_until} end

redis.call('HSET', key, unpack(ARGV, 8))
local session = read(key)
local replaced = {}
for _, old in ipairs(surplus(session.device_type)) do
  finish(prefix .. old.id, 'replaced', session.device_type)
  table.insert(replaced, old.id)
end
redis.call('EXPIRE', key, tonumber(session.expires_at) - now + TOMBSTONE_SECONDS)
-- By second, and within a second in the order of writing.
local first, last = now * 1000000, now * 1000000 + 999999
redis.call('ZADD', index, first + redis.call('ZCOUNT', index, first, last), session.id)
if redis.call('TTL', index) < index_ttl then redis.call('EXPIRE', index, index_ttl) end
return {'opened', replaced}
