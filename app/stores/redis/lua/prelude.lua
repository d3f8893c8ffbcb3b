-- What stands before every script: its common arguments, and what all of them know of sessions.
--
-- attempt: one command's name. A command whose answer was lost is run a second time under the same
--          name, finds it where the first run left it, and answers as that one did.
-- again:   whether this is such a second run.
-- now:     the caller's clock, in epoch seconds. Decisions never ask the server's.
local attempt, again, now = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local TOMBSTONE_SECONDS = 7 * 24 * 3600

local function read(key)
  local flat = redis.call('HGETALL', key)
  if #flat == 0 then return nil end
  local row = {}
  for i = 1, #flat, 2 do row[flat[i]] = flat[i + 1] end
  return row
end

-- The answer for a session that does not live; nil if it does.
local function over(session)
  if not session then return {'unknown'} end
  if session.ending then return {'ended', session.ending, session.replaced_by or ''} end
  if tonumber(session.expires_at) <= now then return {'ended', 'expired', ''} end
  return nil
end

-- The tombstone keeps the name of the ending; the profile goes at once.
local function finish(key, reason, replaced_by)
  redis.call('HSET', key, 'ending', reason, 'expires_at', now, 'attempt', attempt)
  if replaced_by then redis.call('HSET', key, 'replaced_by', replaced_by) end
  redis.call('HDEL', key, 'sealed_profile')
  redis.call('EXPIRE', key, TOMBSTONE_SECONDS)
end

-- Calls visit(key, session) for each session of the user, the first that was written first; sweeps
-- out of the index whose time to live is over. The sessions' keys are made here, from the index:
-- all begin with the tag of the index, so they lie in its slot.
local function each_of(index, prefix, visit)
  for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    local session = read(prefix .. id)
    if session then visit(prefix .. id, session) else redis.call('ZREM', index, id) end
  end
end

-- Ends the user's living sessions, all but one; which ones ended, in this run or its first.
local function end_all(index, prefix, reason, keep)
  local ended = {}
  each_of(index, prefix, function(key, session)
    if session.id ~= keep and not over(session) then
      finish(key, reason)
      table.insert(ended, session.id)
    elseif session.ending == reason and session.attempt == attempt then
      table.insert(ended, session.id)
    end
  end)
  return ended
end
