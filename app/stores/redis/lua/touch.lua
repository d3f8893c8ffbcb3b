-- Looks a session up for a bearer; notes the first use of its current generation.
-- KEYS: session. ARGV: generation.
local flat = redis.call('HGETALL', KEYS[1])
local session = row_of(flat)
local gone = inactive(session)
if gone then return gone end
if session.generation == ARGV[4] and not session.in_use then
  note(KEYS[1], 'in_use', server_now)
end
return {'active', flat}
