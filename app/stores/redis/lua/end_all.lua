-- Ends a chunk of the user's sessions except one; returns 1 if there may be more, and the
-- ids that ended. ARGV: subject, reason, keep, the session that asks (ids, or empty).
return end_chunk(ARGV[4], ARGV[5], ARGV[6], ARGV[7])
