-- Compares generations: rotates, replays, or ends the session for a used refresh token.
-- KEYS: session. ARGV: presented, secret_kid, idle_ttl, recovery_window (seconds), hash of the
-- idempotency key (or empty), 1 for a dry run (or 0), which changes nothing, thumbprint and id of
-- the proof (empty, and a word).
local presented, secret_kid = tonumber(ARGV[4]), ARGV[5]
local idle_ttl, recovery_window, key_hash = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local dry_run = ARGV[9] == '1'

local flat = redis.call('HGETALL', KEYS[1])
local session = row_of(flat)

-- Why the proof of possession is refused, or nil, and then the fields to write. For SQLite,
-- app/sessions/proofs.py has the same.
local function judge_proof(thumbprint, id)
  local bound_to, seen = session.key_thumbprint, {}
  if id == 'ignored' or id == 'missing' and not bound_to then return nil, {} end
  if thumbprint == '' then return id == 'missing' and 'required' or id end
  if bound_to and bound_to ~= thumbprint then return 'other_key' end
  if id == '' then return 'nonce' end
  -- The second run of a replay finds its own proof.
  if session.replay_id == command_id then return nil, {} end
  for each in string.gmatch(session.seen_proofs or '', '%S+') do
    if each == id then return 'reused' end
    table.insert(seen, each)
  end
  if #seen == MAX_SEEN_PROOFS and id < seen[1] then return 'reused' end
  table.insert(seen, id)
  table.sort(seen)
  if #seen > MAX_SEEN_PROOFS then table.remove(seen, 1) end
  return nil, {'key_thumbprint', thumbprint, 'seen_proofs', table.concat(seen, ' ')}
end

-- The reply is the session as it was read, then the changes.
local function reply(outcome, changes)
  for _, value in ipairs(changes) do table.insert(flat, value) end
  return {outcome, flat}
end

if session and session.command_id == command_id then
  if session.end_reason then return {'reused', session.outcome} end
  return {session.outcome, flat}
end
local gone = inactive(session)
if gone then return gone end

local refusal, proof_fields = judge_proof(ARGV[10], ARGV[11])
if refusal then
  -- An app that has no nonce yet gets it in this way.
  if refusal ~= 'nonce' and not again then happened(session.id, 'proof_refused:' .. refusal) end
  return {'proof', refusal}
end
local binds = #proof_fields > 0 and not session.key_thumbprint

local ahead = presented - tonumber(session.generation)
if ahead == 0 or ahead == 1 then
  local outcome = ahead == 0 and 'rotated' or 'rolled_forward'
  if dry_run then return {outcome, flat} end
  local expires_at = math.min(now + idle_ttl, tonumber(session.absolute_expires_at))
  local changes = {'generation', presented + 1, 'secret_kid', secret_kid, 'last_used_at', now,
    'expires_at', expires_at, unpack(proof_fields)}
  redis.call('HSET', KEYS[1], 'rotation_key_hash', key_hash, 'command_id', command_id,
    'outcome', outcome, 'rotated_at', server_now, unpack(changes))
  -- The generations in a row end with one that was not replayed.
  local count = session.replays and 'replays' or 'replayed_generations'
  redis.call('HDEL', KEYS[1], 'in_use', count)
  redis.call('EXPIRE', KEYS[1], expires_at - now + TOMBSTONE_SECONDS)
  -- The history tells when a session has expired, also when its own key is gone.
  record(session, expires_at - now, 'refreshes', presented + 1, 'last_used_at', now,
    'expires_at', expires_at)
  if binds then happened(session.id, 'session_bound:') end
  if ahead == 1 then happened(session.id, 'rolled_forward:') end
  return reply(outcome, changes)
end
local window_ends_at = tonumber(session.last_used_at) + recovery_window
local same_key = (session.rotation_key_hash or '') == key_hash
if ahead == -1 and same_key and not session.in_use and now < window_ends_at then
  if session.replay_id == command_id then return {'replayed', flat} end
  local in_a_row = (session.replayed_generations or 0) + (session.replays and 0 or 1)
  local counts = {'replays', (session.replays or 0) + 1, 'replayed_generations', in_a_row,
    unpack(proof_fields)}
  if not dry_run then
    note(KEYS[1], 'replay_id', command_id, unpack(counts))
    if binds then happened(session.id, 'session_bound:') end
    happened(session.id, 'refresh_replayed:')
  end
  return reply('replayed', counts)
end
-- A copy of a command may come after its second run, when the app has used the successor.
if older_than(math.max(session.rotated_at or 0, session.in_use or 0)) then
  verdict = 'stale'
  return nil
end
-- A second run never ends the session. Its own first run may have used the token, and another
-- command may have used the successor since. The app asks again, with a new command id.
if again then return {'unsure'} end
local kind = ahead > 0 and 'ahead' or ahead < -1 and 'stale'
  or same_key and 'recent_previous' or 'other_key'
if dry_run then return {'reused', kind} end
finish(session.id, session.subject, 'refresh_reused', kind)
redis.call('HSET', KEYS[1], 'outcome', kind)
return {'reused', kind}
