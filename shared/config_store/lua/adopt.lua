-- Gives a store an identity, unless it has one, and completes it.
-- KEYS: identity, format, order. ARGV: a new identity, ids of the peppers and of the encryption keys, the number
-- of the layout, the ids of the peppers that the caller has found.

local identity, format, order = unpack(KEYS)

if redis.call('EXISTS', identity) == 0 then
  redis.call('HSET', identity, 'id', ARGV[1], 'generation', 1)
end
local pepper = redis.call('HGET', identity, 'pepper')
if not pepper or pepper == ARGV[2] or pepper == ARGV[5] or redis.call('ZCARD', order) == 0 then
  redis.call('HSET', identity, 'pepper', ARGV[2], 'keys', ARGV[3])
end
if tonumber(redis.call('GET', format) or 0) < tonumber(ARGV[4]) then
  redis.call('SET', format, ARGV[4])
end
return 1
