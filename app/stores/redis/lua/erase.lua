-- Ends the user's sessions and takes the user out of these and of older tombstones.
-- KEYS: index, ban. ARGV: prefix of the sessions' keys.
local index, ban = KEYS[1], KEYS[2]
local ended = end_all(index, ARGV[4], 'erased', '')
each_of(index, ARGV[4], function(key)
  redis.call('HSETNX', key, 'ending', 'expired')
  redis.call('HSET', key, 'subject', '')
  redis.call('HDEL', key, 'device_type', 'sealed_profile')
end)
redis.call('DEL', index)
local ban_ends_at = tonumber(redis.call('HGET', ban, 'until') or '')
if ban_ends_at and ban_ends_at <= now then redis.call('DEL', ban) end
return ended
