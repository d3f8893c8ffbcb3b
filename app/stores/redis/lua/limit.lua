-- Counts one request in a sliding window: the count of the current window, and that of the previous
-- one in proportion to how much of it lies within the last `length` milliseconds. Without the prelude.
-- KEYS: the counts of a name. ARGV: how many requests are possible, length.
-- Reply: nothing; or the milliseconds until one more is possible, and then it is not counted.
local key, amount, length = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('GET', key) or now .. ' 0 0'
local started_at, current, previous = string.match(stored, '(%d+) (%d+) (%d+)')

local passed = math.floor((now - started_at) / length)
if passed ~= 0 then
  started_at, previous, current = started_at + passed * length, passed == 1 and current or 0, 0
end
local weight, room = 1 - (now - started_at) / length, amount - current
if previous * weight >= room then
  -- Either the previous count fades until it fits beside the current one; or the current one alone
  -- is at the limit, and its window must become the previous one first.
  return math.ceil((room > 0 and weight - room / previous or weight) * length)
end
local counts = string.format('%d %d %d', started_at, current + 1, previous)
redis.call('SET', key, counts, 'PX', 2 * length)
