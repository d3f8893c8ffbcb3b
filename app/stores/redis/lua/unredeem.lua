-- Takes back that the ticket became this session: its user is banned.
-- KEYS: claim. ARGV: holder, session_id.
local claim = read(KEYS[1])
if not claim or claim.session_id ~= ARGV[5] then return end
redis.call('HDEL', KEYS[1], 'session_id', 'pending')
if claim.holder == ARGV[4] then redis.call('DEL', KEYS[1]) end
