-- Extends leases of one concurrent limit, or acquires them again, whether there is room or not; or extends
-- those leases of a budget that it knows.
--
-- KEYS: the counter, as in limiter.lua; of a budget its leases.
-- ARGV: time in microseconds (0: that of the server), the kind, length of a lease in microseconds, then the
--       leases.

local length = tonumber(ARGV[3])
local end_ = exact(now + length)
if ARGV[2] == 'budget' then
  -- One that is gone was settled, or counts already.
  for index = 4, #ARGV do redis.call('ZADD', KEYS[1], 'XX', end_, ARGV[index]) end
  return 1
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', exact(now))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. exact(now + 2 * length), '+inf')
for index = 4, #ARGV do redis.call('ZADD', KEYS[1], end_, ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], math.ceil(length / 1000))
return 1
