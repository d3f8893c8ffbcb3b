-- Takes back that the ticket became this session: its user is banned. But not if somebody else has
-- opened it meanwhile, when the ban had been lifted: then there is nothing pending any more.
-- KEYS: claim. ARGV: holder, session_id.
local claim = read(KEYS[1])
if not claim or claim.session_id ~= ARGV[5] or not claim.pending then return end
redis.call('HDEL', KEYS[1], 'session_id', 'pending')
if claim.holder == ARGV[4] then redis.call('DEL', KEYS[1]) end
