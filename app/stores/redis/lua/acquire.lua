-- Leases the ticket, or says who has it.
-- KEYS: ticket, idempotency key. ARGV: ticket hash, key hash (or empty), holder, lease_ends_at,
-- expires_at.
local ticket_key, idempotency_key = KEYS[1], KEYS[2]
local hash, key_hash, holder, lease_ends_at, expires_at = unpack(ARGV, 4)

if key_conflict(idempotency_key, hash, key_hash) then return {'key_conflict'} end
local ticket = current_ticket(ticket_key)
if ticket and ticket.session_id then return already_used(ticket, key_hash) end
if ticket and ticket.holder ~= holder and tonumber(ticket.lease_ends_at) > now then
  return {'held', ticket.lease_ends_at}
end
local ttl = expires_at - now
-- HSET is the first write, because a server without memory refuses it. After DEL, which such a
-- server allows, it would allow the rest of the script too.
redis.call('HSET', ticket_key, 'holder', holder, 'key_hash', key_hash,
  'lease_ends_at', lease_ends_at, 'expires_at', expires_at)
redis.call('HDEL', ticket_key, 'session_id')
redis.call('EXPIRE', ticket_key, ttl)
if key_hash ~= '' then redis.call('SET', idempotency_key, hash, 'EX', ttl) end
return {'acquired'}
