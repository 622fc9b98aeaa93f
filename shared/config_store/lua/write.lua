-- Replaces the stored data of one tenant, with every index, in one step, and publishes the change.
-- Reply: the number of the change; 0 when the tenant was modified concurrently, -1 when the subdomain is taken,
-- -2 when this is not the store that the caller knows, -3 when the claim of the call is gone.
-- KEYS are described in layout.py. ARGV[1] is the change as JSON, see write_call in records.py.

local tenant, keys, used, old_document, new_document, old_quarantine, new_quarantine = unpack(KEYS, 1, 7)
local subdomains, hashes, order, changes, deleted, revision, identity, call = unpack(KEYS, 8, 15)
local change = cjson.decode(ARGV[1])
local DELETED_SECONDS = 86400 -- how long a deletion stays in `changes`

local function belongs_to_other(owner)
  return owner and owner ~= change.tenant
end

local function drop_old_deletions(now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', deleted, '-inf', now - DELETED_SECONDS, 'LIMIT', 0, 100)) do
    redis.call('ZREM', deleted, id)
    redis.call('ZREM', changes, id)
  end
end

local function is_known(known)
  return redis.call('HGET', identity, 'id') == known.id
    and tonumber(redis.call('HGET', identity, 'generation')) == known.generation
    and tonumber(redis.call('GET', revision) or 0) >= known.revision
end

if change.known and not is_known(change.known) then
  return -2
end
if change.claim and redis.call('GET', call) ~= change.claim.value then
  return -3
end
if (redis.call('HGET', tenant, 'revision') or '') ~= change.before then
  return 0
end
if change.claimed then
  local owner = redis.call('HGET', subdomains, change.claimed)
  if belongs_to_other(owner) or belongs_to_other(redis.call('GET', new_quarantine)) then
    return -1
  end
end

local now = tonumber(redis.call('TIME')[1])
local number = redis.call('INCR', revision)

redis.call('DEL', keys)
for _, key in ipairs(change.dropped) do
  redis.call('HDEL', hashes, key.hash)
  redis.call('HDEL', used, key.id)
end
if change.freed then
  redis.call('HDEL', subdomains, change.freed)
  if change.quarantine_ms > 0 then
    redis.call('SET', old_quarantine, change.tenant, 'PX', change.quarantine_ms)
  end
end

if change.record then
  if change.document then
    redis.call('DEL', old_document)
    redis.call('SET', new_document, change.document)
  end
  redis.call('HSET', tenant, 'revision', number)
  for name, value in pairs(change.record) do
    redis.call('HSET', tenant, name, value)
  end
  for _, key in ipairs(change.keys) do
    redis.call('RPUSH', keys, key.record)
    redis.call('HSET', hashes, key.hash, change.tenant .. ' ' .. key.id)
  end
  redis.call('HSET', subdomains, change.claimed, change.tenant)
  redis.call('DEL', new_quarantine)
  redis.call('ZADD', order, 'NX', number, change.tenant)
  redis.call('ZREM', deleted, change.tenant)
else
  redis.call('DEL', tenant, old_document, used)
  redis.call('ZREM', order, change.tenant)
  redis.call('ZADD', deleted, now, change.tenant)
end

if change.claim then
  redis.call('SET', call, change.claim.result, 'PX', change.claim.kept_ms)
end
redis.call('ZADD', changes, number, change.tenant)
drop_old_deletions(now)
redis.call('PUBLISH', change.channel, change.tenant)
return number
