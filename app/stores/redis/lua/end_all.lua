-- Ends the user's living sessions, all but one; which ones ended.
-- KEYS: index. ARGV: prefix of the sessions' keys, reason, keep (an id, or empty).
return end_all(KEYS[1], ARGV[4], ARGV[5], ARGV[6])
