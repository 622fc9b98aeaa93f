-- Returns the stored data of one tenant, read in one step; nil when there is no such tenant.
-- KEYS: tenant, keys, used. ARGV[1]: the beginning of the keys of its documents.

local record = redis.call('HGETALL', KEYS[1])
if #record == 0 then
  return nil
end
local version = redis.call('HGET', KEYS[1], 'version') or ''
return {
  record,
  redis.call('GET', ARGV[1] .. version),
  redis.call('LRANGE', KEYS[2], 0, -1),
  redis.call('HGETALL', KEYS[3]),
}
