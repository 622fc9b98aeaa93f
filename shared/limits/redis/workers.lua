-- Notes that a worker lives, and returns the number of workers that lived in the last seconds.
-- KEYS: the set of all workers. ARGV: the name of the worker, the seconds.

local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
return redis.call('ZCARD', KEYS[1])
