-- Looks a session up for a bearer; notes the first use of its current generation.
-- KEYS: session. ARGV: generation.
local session = read(KEYS[1])
local gone = inactive(session)
if gone then return gone end
if session.generation == ARGV[4] and not session.in_use then
  -- A server without memory refuses the mark. The bearer is answered all the same.
  local marked = redis.pcall('HSET', KEYS[1], 'in_use', server_now)
  if type(marked) == 'table' and not string.find(marked.err, 'OOM', 1, true) then
    error(marked.err)
  end
end
return {'active', redis.call('HGETALL', KEYS[1])}
