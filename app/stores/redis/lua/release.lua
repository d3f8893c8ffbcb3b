-- Deletes the lease if it is still this holder's and became no session.
-- KEYS: ticket. ARGV: holder.
local ticket = read(KEYS[1])
if ticket and ticket.holder == ARGV[4] and not ticket.session_id then redis.call('DEL', KEYS[1]) end
