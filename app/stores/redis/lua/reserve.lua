-- Notes which ticket an idempotency key goes with, unless it goes with another; which one it is.
-- KEYS: key. ARGV: ticket_hash, seconds to live, the ticket whose note is known to be void.
local noted = redis.call('GET', KEYS[1])
if noted and noted ~= ARGV[4] and noted ~= ARGV[6] then return noted end
redis.call('SET', KEYS[1], ARGV[4], 'EX', ARGV[5])
return ARGV[4]
