-- Notes that the ticket becomes this session, unless it has become another. `pending` is all that
-- is needed to open it, for whoever comes after an opener that has died.
-- KEYS: claim. ARGV: holder, key_hash (or empty), lease_ends_at, expires_at, session_id, pending.
local holder, key_hash, session_id, pending = ARGV[4], ARGV[5], ARGV[8], ARGV[9]
local claim = read(KEYS[1])
if claim and claim.session_id and claim.session_id ~= session_id then
  return {'redeemed', claim.session_id, claim.key_hash, claim.pending or ''}
end
if not claim then
  redis.call('HSET', KEYS[1], 'holder', holder, 'key_hash', key_hash,
    'lease_ends_at', ARGV[6], 'expires_at', ARGV[7])
  redis.call('EXPIRE', KEYS[1], math.max(tonumber(ARGV[7]) - now, 1))
end
redis.call('HSET', KEYS[1], 'session_id', session_id, 'pending', pending)
return {'ours'}
