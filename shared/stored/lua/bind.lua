-- Stores the bindings of a tenant. Of more than the most, the oldest are removed.
-- KEYS: the index: a sorted set of names by the second at which they expire. A binding has the key
-- <index>:<name>, which has the hash tag of the index.
-- ARGV: seconds for which a binding is kept, the most bindings, then per binding its name and its value.

local index = KEYS[1]
local seconds, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(redis.call('TIME')[1])

for at = 3, #ARGV, 2 do
  redis.call('SET', index .. ':' .. ARGV[at], ARGV[at + 1], 'EX', seconds)
  redis.call('ZADD', index, now + seconds, ARGV[at])
end
redis.call('ZREMRANGEBYSCORE', index, '-inf', now)

local over = redis.call('ZCARD', index) - most
if over > 0 then
  local oldest = redis.call('ZPOPMIN', index, over)
  for at = 1, #oldest, 2 do
    redis.call('DEL', index .. ':' .. oldest[at])
  end
end
redis.call('EXPIRE', index, seconds)
