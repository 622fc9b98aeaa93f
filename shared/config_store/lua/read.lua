-- Returns what the store says about itself, and the stored data of one tenant, read in one step.
-- The second part is missing when there is no such tenant. Its document is empty when the caller has it.
-- KEYS: identity, revision, tenant, keys, used. ARGV: the beginning of the keys of its documents, the name of the
-- root that the caller has (empty: none).

local identity, revision, tenant, keys, used = unpack(KEYS)
local state = {redis.call('HGETALL', identity), redis.call('GET', revision) or '0'}
local record = redis.call('HGETALL', tenant)
if #record == 0 then
  return {state}
end
local document = ''
if ARGV[2] == '' or redis.call('HGET', tenant, 'root') ~= ARGV[2] then
  document = redis.call('GET', ARGV[1] .. (redis.call('HGET', tenant, 'version') or ''))
end
return {
  state,
  {
    record,
    document,
    redis.call('LRANGE', keys, 0, -1),
    redis.call('HGETALL', used),
  },
}
