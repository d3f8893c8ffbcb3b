-- Ends one session of this user; a session of another user is unknown.
-- KEYS: session. ARGV: subject (empty: of any user), reason, the session that asks (or empty).
local subject, reason = ARGV[4], ARGV[5]
local session = read(KEYS[1])
if not session or subject ~= '' and session.subject ~= subject then return {'unknown'} end
local first_run = session.end_reason == reason and session.command_id == command_id
if session.end_reason and not first_run then return inactive(session) end
if not first_run then finish(session.id, session.subject, reason, ARGV[6]) end
return {'changed', reason}
