-- Notes that a worker lives. Returns its position by name, from 0 on, among the workers that lived in the last
-- seconds, and the number of them.
-- KEYS: the set of all workers. ARGV: the name of the worker, the seconds.

local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
local names = redis.call('ZRANGE', KEYS[1], 0, -1)
local position = 0
for _, name in ipairs(names) do
  if name < ARGV[1] then
    position = position + 1
  end
end
return {position, #names}
