-- Ends the user's sessions and removes the user from them and from older tombstones.
-- KEYS: index, ban, reply, index of bans. ARGV: prefix of sessions.
local index, ban, reply, bans = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local REPLY_SECONDS = 10

-- After an erasure, sessions cannot be found by user. So the first run stores its reply for the
-- second one.
local first_reply = redis.call('LRANGE', reply, 0, -1)
if #first_reply > 0 then return first_reply end
local ended = end_all(index, ARGV[4], 'erased', '')
for _, id in ipairs(ended) do redis.call('RPUSH', reply, id) end
redis.call('EXPIRE', reply, REPLY_SECONDS)

each_of(index, ARGV[4], function(key)
  redis.call('HSET', key, 'subject', '')
  redis.call('HDEL', key, 'device_type')
end)
redis.call('DEL', index)
local ban_ends_at = tonumber(redis.call('HGET', ban, 'until') or '')
if ban_ends_at and ban_ends_at <= now then redis.call('DEL', ban) end
redis.call('ZREMRANGEBYSCORE', bans, '-inf', now)
return ended
