-- Ends the user's sessions except one; returns the ids that ended.
-- KEYS: index. ARGV: prefix of sessions, reason, keep (an id, or empty).
return end_all(KEYS[1], ARGV[4], ARGV[5], ARGV[6])
