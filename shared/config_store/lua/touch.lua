-- Stores the last use of an API key, unless a later one is stored or the tenant does not exist.
-- KEYS: tenant, used. ARGV: the key's id, seconds since the Unix epoch.

if redis.call('EXISTS', KEYS[1]) == 1 then
  local last = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or nil)
  if not last or last < tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  end
end
return 1
