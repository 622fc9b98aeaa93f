-- Extends leases of one concurrent limit, or acquires them again, whether there is room or not.
--
-- KEYS: the counter, as in limiter.lua.
-- ARGV: time in microseconds (0: that of the server), length of a lease in microseconds, then the leases.

local length = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', exact(now))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. exact(now + 2 * length), '+inf')
for index = 3, #ARGV do redis.call('ZADD', KEYS[1], exact(now + length), ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], math.ceil(length / 1000))
return 1
