-- Ends a chunk of the user's sessions, and removes the user from a chunk of their tombstones.
-- Returns 1 if there may be more, and the ids that ended.
-- KEYS: ban. ARGV: subject.
local ban, subject, reply = KEYS[1], ARGV[4], REPLY_PREFIX .. command_id
local REPLY_SECONDS, ERASURE_SECONDS = 10, 24 * 3600

-- After an erasure, sessions cannot be found by user. So the first run stores its reply for the
-- second one.
local first_reply = redis.call('LRANGE', reply, 0, -1)
if #first_reply > 0 then return first_reply end
local result = end_chunk(subject, 'erased', '')
if not result then return nil end
local tombstones = redis.call('LPOP', TOMBSTONES_PREFIX .. subject, CHUNK) or {}
for _, id in ipairs(tombstones) do
  redis.call('HDEL', SESSION_PREFIX .. id, 'subject', 'device_type', 'replaced_by')
end
local records = RECORDS_PREFIX .. subject
for _, id in ipairs(redis.call('ZRANGE', records, 0, -1)) do redis.call('DEL', RECORD_PREFIX .. id) end
redis.call('DEL', records, BAN_NOTES_PREFIX .. subject)
if #tombstones == CHUNK then result[1] = 1 end
redis.call('DEL', SWEPT_PREFIX .. subject, LOOK_PREFIX .. subject)
local ban_ends_at = tonumber(redis.call('HGET', ban, 'until') or '')
if ban_ends_at and ban_ends_at <= ended_by then redis.call('DEL', ban) end
redis.call('ZREMRANGEBYSCORE', BAN_INDEX, '-inf', ended_by)
redis.call('RPUSH', reply, unpack(result))
redis.call('EXPIRE', reply, REPLY_SECONDS)
redis.call('SET', ERASURE, command_id, 'EX', ERASURE_SECONDS)
return result
