-- Looks a session up for a bearer; notes the first use of its current generation.
-- KEYS: session. ARGV: generation.
local session = read(KEYS[1])
local gone = inactive(session)
if gone then return gone end
if session.generation == ARGV[4] and not session.in_use then
  redis.call('HSET', KEYS[1], 'in_use', server_now)
end
return {'active', redis.call('HGETALL', KEYS[1])}
