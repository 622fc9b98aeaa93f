-- Stores the heartbeat of a worker, and removes those of workers that ended. Reply: 1.
-- KEYS: the workers by time, their heartbeats. ARGV: the id of the worker, its heartbeat, the milliseconds
-- for which it counts, the most that are removed at a time.

local clock = redis.call('TIME')
local now, lasts = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
-- A time in the future comes from a clock that was set back.
for _, span in ipairs({{'-inf', now - lasts}, {now + lasts, '+inf'}}) do
  local ended = redis.call('ZRANGEBYSCORE', KEYS[1], span[1], span[2], 'LIMIT', 0, ARGV[4])
  if #ended > 0 then
    redis.call('ZREM', KEYS[1], unpack(ended))
    redis.call('HDEL', KEYS[2], unpack(ended))
  end
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, 2 * lasts)
end
return 1
