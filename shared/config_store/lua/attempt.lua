-- One attempt of a caller, such as a log-in: KEYS[1] has the times of its last ones, newest first, in ms.
-- ARGV: the attempts that are allowed, the window in ms, '1' if this one uses one of them up.
-- Returns the ms until the next attempt; 0 if this one is allowed. One that must wait is not counted.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', KEYS[1], most - 1)
if oldest and oldest + window > now then
  return math.min(oldest + window - now, window)  -- the clock may have been set back
end
if ARGV[3] == '1' then
  redis.call('LPUSH', KEYS[1], now)
  redis.call('LTRIM', KEYS[1], 0, most - 1)
  redis.call('PEXPIRE', KEYS[1], window)
end
return 0
