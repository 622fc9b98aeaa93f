-- Reads the heartbeats of the workers that live; changes nothing. Reply: the number of workers, then at most
-- so many heartbeats, of which one that is missing is false.
-- KEYS: the workers by time, their heartbeats. ARGV: the milliseconds for which a heartbeat counts, the most.

local clock = redis.call('TIME')
local now, lasts = clock[1] * 1000 + math.floor(clock[2] / 1000), tonumber(ARGV[1])
local first, last = '(' .. now - lasts, '(' .. now + lasts
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], first, last, 'LIMIT', 0, ARGV[2])
if #ids == 0 then
  return {0}
end
return {redis.call('ZCOUNT', KEYS[1], first, last), unpack(redis.call('HMGET', KEYS[2], unpack(ids)))}
