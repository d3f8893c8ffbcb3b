-- Leases the ticket, or says who has it.
-- KEYS: ticket, idempotency key. ARGV: prefix of tickets, prefix of sessions, ticket hash,
-- key hash (or empty), holder, lease_ends_at, expires_at.
local ticket_key, idempotency_key = KEYS[1], KEYS[2]
local ticket_prefix, session_prefix, hash, key_hash = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local holder, lease_ends_at, expires_at = ARGV[8], ARGV[9], ARGV[10]

if key_conflict(idempotency_key, ticket_prefix, hash, key_hash) then return {'key_conflict'} end
local ticket = current_ticket(ticket_key)
if ticket and ticket.session_id then return already_used(ticket, session_prefix, key_hash) end
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
