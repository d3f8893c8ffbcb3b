-- Claims the ticket, or says who has it.
-- KEYS: claim. ARGV: holder, key_hash (or empty), lease_ends_at, expires_at.
local holder, key_hash = ARGV[4], ARGV[5]
local lease_ends_at, expires_at = tonumber(ARGV[6]), tonumber(ARGV[7])
local claim = read(KEYS[1])
if claim and tonumber(claim.expires_at) > now then
  if claim.session_id then
    return {'redeemed', claim.session_id, claim.key_hash, claim.pending or ''}
  end
  if claim.holder ~= holder and tonumber(claim.lease_ends_at) > now then
    return {'held', tonumber(claim.lease_ends_at)}
  end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'holder', holder, 'key_hash', key_hash,
  'lease_ends_at', lease_ends_at, 'expires_at', expires_at)
redis.call('EXPIRE', KEYS[1], expires_at - now)
return {'claimed'}
