-- Forgets the claim if it is still this holder's and became no session.
-- KEYS: claim. ARGV: holder.
local claim = read(KEYS[1])
if claim and claim.holder == ARGV[4] and not claim.session_id then redis.call('DEL', KEYS[1]) end
