-- Notes that a worker lives. Returns its position by name, from 0 on, among the workers that lived in the last
-- seconds, and the number of them. Among very many it is a position that follows from the name alone.
-- KEYS: the set of all workers. ARGV: the name of the worker, the seconds, the most names to compare.

local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
local count = redis.call('ZCARD', KEYS[1])
if count > tonumber(ARGV[3]) then
  return {tonumber(string.sub(redis.sha1hex(ARGV[1]), 1, 8), 16) % count, count}
end
local position = 0
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if name < ARGV[1] then
    position = position + 1
  end
end
return {position, count}
