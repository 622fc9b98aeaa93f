-- All limits of a request in one step, each a sliding window of two counters. Counts the request if all admit it.
-- KEYS: of each limit, the counter of this window and of the one before. ARGV: limit, share of the window before
-- that still counts, seconds. Returns the requests that are left, or -1.
local limit, rest, seconds = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left = limit
for number = 1, #KEYS, 2 do
  local used = tonumber(redis.call("GET", KEYS[number]) or "0")
  local before = tonumber(redis.call("GET", KEYS[number + 1]) or "0")
  left = math.min(left, limit - used - math.floor(before * rest) - 1)
end
if left < 0 then return -1 end
for number = 1, #KEYS, 2 do
  if redis.call("INCR", KEYS[number]) == 1 then redis.call("EXPIRE", KEYS[number], 2 * seconds) end
end
return left
