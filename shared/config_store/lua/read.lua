-- Returns what the store says about itself, and the stored data of one tenant, read in one step.
-- The second part is missing when there is no such tenant.
-- KEYS: identity, revision, tenant, keys, used. ARGV[1]: the beginning of the keys of its documents.

local identity, revision, tenant, keys, used = unpack(KEYS)
local state = {redis.call('HGETALL', identity), redis.call('GET', revision) or '0'}
local record = redis.call('HGETALL', tenant)
if #record == 0 then
  return {state}
end
local version = redis.call('HGET', tenant, 'version') or ''
return {
  state,
  {
    record,
    redis.call('GET', ARGV[1] .. version),
    redis.call('LRANGE', keys, 0, -1),
    redis.call('HGETALL', used),
  },
}
