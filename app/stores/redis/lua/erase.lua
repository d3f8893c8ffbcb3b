-- Ends the user's sessions and takes the user out of these and of older tombstones.
-- KEYS: index, ban, answer. ARGV: prefix of the sessions' keys.
local index, ban, answer = KEYS[1], KEYS[2], KEYS[3]
local ANSWER_SECONDS = 10

-- Nothing tells afterwards which sessions were this user's, so a second run is told by the first.
local told = redis.call('LRANGE', answer, 0, -1)
if #told > 0 then return told end
local ended = end_all(index, ARGV[4], 'erased', '')
for _, id in ipairs(ended) do redis.call('RPUSH', answer, id) end
redis.call('EXPIRE', answer, ANSWER_SECONDS)

each_of(index, ARGV[4], function(key)
  redis.call('HSETNX', key, 'ending', 'expired')
  redis.call('HSET', key, 'subject', '')
  redis.call('HDEL', key, 'device_type', 'sealed_profile')
end)
redis.call('DEL', index)
local ban_ends_at = tonumber(redis.call('HGET', ban, 'until') or '')
if ban_ends_at and ban_ends_at <= now then redis.call('DEL', ban) end
return ended
