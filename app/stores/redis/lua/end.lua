-- Ends one session of this user; of another user's it says nothing.
-- KEYS: session. ARGV: subject, reason.
local subject, reason = ARGV[4], ARGV[5]
local session = read(KEYS[1])
if not session or session.subject ~= subject then return {'unknown'} end
local first_run = session.ending == reason and session.attempt == attempt
local gone = over(session)
if gone and not first_run then return gone end
if not first_run then finish(KEYS[1], reason) end
return {'just_ended', reason}
