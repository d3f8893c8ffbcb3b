-- Estimates how many sessions are open: their share of some keys, times the number of all keys.
-- Reply: the estimate, with an error of some percent; nothing if the server does not permit it.
local all, open = redis.pcall('DBSIZE'), 0
local sample = 200  -- a millisecond of the server
for _ = 1, sample do
  local key = redis.pcall('RANDOMKEY')
  if type(all) == 'table' or type(key) == 'table' then return false end
  if key and string.sub(key, 1, #SESSION_PREFIX) == SESSION_PREFIX then
    local fields = redis.call('HMGET', key, 'end_reason', 'expires_at')
    if not fields[1] and tonumber(fields[2]) > now then open = open + 1 end
  end
end
return math.floor(all * open / sample + 0.5)
