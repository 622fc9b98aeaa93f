-- Replaces the stored data of one tenant, the document or the tokens of the platform, or the list of models of a
-- provider, with every index, in one step, and publishes the change. All but the last get an entry in the audit log.
-- Reply: the number of the change; 0 when the data were modified concurrently or no reader needs to know, -1
-- when the subdomain is taken, -2 when this is not the store that the caller knows, -3 when the claim of the
-- call is gone, -4 when tenants use what the platform would lose.
-- KEYS are described in layout.py. ARGV[1] is the change as JSON, see write_call and write_platform_call in
-- records/. If a content changes, ARGV has its root and its new parts, too. The keys of roots and parts are
-- made from their prefixes: only here it is known which of them go.

local identity, revision, format, changes, deleted, platform, call, audit = unpack(KEYS, 1, 8)
local versions, notes, sizes, dropped, pinned, pinned_parts = unpack(KEYS, 9, 14)
local change = cjson.decode(ARGV[1])
local FIRST_OWN = 15 -- the first key of the kind of change
local DELETED_SECONDS = 86400 -- how long a deletion stays in `changes`

local function is_known(known)
  return redis.call('HGET', identity, 'id') == known.id
    and tonumber(redis.call('HGET', identity, 'generation')) == known.generation
    and tonumber(redis.call('GET', revision) or 0) >= known.revision
end

local function drop_old_deletions(now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', deleted, '-inf', now - DELETED_SECONDS, 'LIMIT', 0, 100)) do
    redis.call('ZREM', deleted, id)
    redis.call('ZREM', changes, id)
  end
end

local function put_record(key, number)
  redis.call('HSET', key, 'revision', number)
  for name, value in pairs(change.record) do
    redis.call('HSET', key, name, value)
  end
end

local function drop_keys_from(first)
  for at = first, #KEYS do
    redis.call('DEL', KEYS[at])
  end
end

-- The versions that are not pinned, oldest first: as many as asked for, if there are so many.
local function oldest_versions(count)
  local found = {}
  for _, version in ipairs(redis.call('ZRANGE', versions, 0, redis.call('SCARD', pinned) + count - 1)) do
    if #found < count and redis.call('SISMEMBER', pinned, version) == 0 then
      found[#found + 1] = version
    end
  end
  return found
end

-- The oldest versions above the bounds of their number and of their bytes. The newest one always stays.
local function excess_versions(most, most_bytes)
  local loose = redis.call('ZCARD', versions) - redis.call('SCARD', pinned)
  local bytes = 0
  for _, size in ipairs(redis.call('HVALS', sizes)) do
    bytes = bytes + size
  end
  local found = {}
  if loose <= most and bytes <= most_bytes then
    return found
  end
  for at, version in ipairs(oldest_versions(loose - 1)) do
    if at > loose - most and bytes <= most_bytes then
      break
    end
    found[at] = version
    bytes = bytes - redis.call('HGET', sizes, version)
  end
  return found
end

-- Drops the oldest versions above the bounds, and the parts that only they name. A part whose score is at most
-- the oldest version left is named by none of these.
local function drop_old_versions(most, most_bytes)
  local excess = excess_versions(most, most_bytes)
  if #excess == 0 then
    return
  end
  for _, version in ipairs(excess) do
    redis.call('DEL', change.roots .. version)
    redis.call('ZREM', versions, version)
    redis.call('HDEL', notes, version)
    redis.call('HDEL', sizes, version)
  end
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', dropped, '-inf', oldest_versions(1)[1])) do
    if redis.call('HEXISTS', pinned_parts, name) == 0 then
      redis.call('DEL', change.parts .. name)
      redis.call('ZREM', dropped, name)
    end
  end
end

-- Stores a new version of a content. The one before becomes an old version, unless it has no root.
local function put_version(new)
  if new.before_note then
    redis.call('ZADD', versions, 'NX', new.before, new.before)
    redis.call('HSETNX', notes, new.before, new.before_note)
    redis.call('HSETNX', sizes, new.before, redis.call('STRLEN', change.roots .. new.before))
  elseif new.whole then
    redis.call('DEL', new.whole)
  end
  redis.call('SET', change.roots .. new.version, ARGV[2])
  local bytes = #ARGV[2]
  for at, name in ipairs(new.names) do
    bytes = bytes + #ARGV[2 + at]
    redis.call('SET', change.parts .. name, ARGV[2 + at])
    redis.call('ZREM', dropped, name)
  end
  for _, name in ipairs(new.dropped) do
    redis.call('ZADD', dropped, new.version, name)
  end
  redis.call('ZADD', versions, new.version, new.version)
  redis.call('HSET', notes, new.version, new.note)
  redis.call('HSET', sizes, new.version, bytes)
  drop_old_versions(new.most, new.most_bytes)
end

local function drop_all_versions(current)
  for _, version in ipairs(redis.call('ZRANGE', versions, 0, -1)) do
    redis.call('UNLINK', change.roots .. version)
  end
  for _, name in ipairs(redis.call('ZRANGE', dropped, 0, -1)) do
    redis.call('UNLINK', change.parts .. name)
  end
  redis.call('UNLINK', change.roots .. current.version)
  for _, name in ipairs(current.names) do
    redis.call('UNLINK', change.parts .. name)
  end
  redis.call('DEL', versions, notes, sizes, dropped, pinned, pinned_parts)
end

-- The platform: a rejection, or a function that writes.
local function judge_platform()
  if (redis.call('HGET', platform, 'revision') or '0') ~= change.before
    or (redis.call('HGET', platform, 'root') or '') ~= change.replaces then
    return 0
  end
  local first_narrowed = FIRST_OWN + change.uses
  for at = FIRST_OWN, first_narrowed - 1 do
    if redis.call('EXISTS', KEYS[at]) == 1 then
      return -4
    end
  end
  -- What is shared with fewer tenants: all users must be those that the caller judged, as they were then.
  local first_user = first_narrowed + change.narrowed
  local judged = {}
  for at, user in ipairs(change.users) do
    if redis.call('HGET', KEYS[first_user + at - 1], 'version') ~= user.version then
      return 0
    end
    judged[user.id] = true
  end
  for at = first_narrowed, first_user - 1 do
    for _, id in ipairs(redis.call('SMEMBERS', KEYS[at])) do
      if not judged[id] then
        return 0
      end
    end
  end
  return function(number)
    put_version(change.content)
    put_record(platform, number)
    drop_keys_from(first_user + #change.users)
  end
end

-- The list of models of a provider, a change of its owner: the same. An owner that is gone gets none.
local function judge_discovered()
  local list, owner = KEYS[FIRST_OWN], change.id
  if not redis.call('ZSCORE', changes, owner) or redis.call('ZSCORE', deleted, owner) then
    return 0
  end
  local old = redis.call('GET', list)
  if old and cjson.encode(cjson.decode(old).names) == cjson.encode(cjson.decode(change.discovered).names) then
    redis.call('SET', list, change.discovered)
    return 0
  end
  return function()
    redis.call('SET', list, change.discovered)
  end
end

-- The tokens of the platform: the same.
local function judge_tokens()
  local tokens = KEYS[FIRST_OWN]
  if (redis.call('HGET', tokens, 'revision') or '0') ~= change.before then
    return 0
  end
  return function(number)
    redis.call('HSET', tokens, 'revision', number)
    for _, token in ipairs(change.added) do
      redis.call('HSET', tokens, token.hash, token.record)
    end
    for _, token in ipairs(change.dropped) do
      redis.call('HDEL', tokens, token.hash)
      redis.call('HDEL', KEYS[FIRST_OWN + 1], token.id)
    end
  end
end

-- A tenant: the same.
local function judge_tenant()
  local subdomains, hashes, order, tenant, keys, used, old_quarantine, new_quarantine =
    unpack(KEYS, FIRST_OWN, FIRST_OWN + 7)
  local first_used = FIRST_OWN + 8
  local first_unused = first_used + change.used
  local first_gone = first_unused + change.unused

  local function belongs_to_other(owner)
    return owner and owner ~= change.id
  end

  if (redis.call('HGET', tenant, 'revision') or '') ~= change.before
    or (redis.call('HGET', tenant, 'root') or '') ~= change.replaces then
    return 0
  end
  if change.platform and tonumber(redis.call('HGET', platform, 'revision') or 0) ~= change.platform then
    return 0
  end
  if change.claimed then
    local owner = redis.call('HGET', subdomains, change.claimed)
    if belongs_to_other(owner) or belongs_to_other(redis.call('GET', new_quarantine)) then
      return -1
    end
  end

  return function(number, now)
    for _, key in ipairs(change.dropped) do
      redis.call('HDEL', hashes, key.hash)
      redis.call('HDEL', used, key.id)
    end
    if change.freed then
      redis.call('HDEL', subdomains, change.freed)
      if change.quarantine_ms > 0 then
        redis.call('SET', old_quarantine, change.id, 'PX', change.quarantine_ms)
      end
    end
    for at = first_used, first_unused - 1 do
      redis.call('SADD', KEYS[at], change.id)
    end
    for at = first_unused, first_gone - 1 do
      redis.call('SREM', KEYS[at], change.id)
    end
    drop_keys_from(first_gone)

    if change.record then
      if change.content then
        put_version(change.content)
      end
      put_record(tenant, number)
      if change.keys then
        redis.call('DEL', keys)
        for _, key in ipairs(change.keys) do
          redis.call('RPUSH', keys, key.record)
          redis.call('HSET', hashes, key.hash, change.id .. ' ' .. key.id)
        end
      end
      redis.call('HSET', subdomains, change.claimed, change.id)
      redis.call('DEL', new_quarantine)
      redis.call('ZADD', order, 'NX', number, change.id)
      redis.call('ZREM', deleted, change.id)
    else
      drop_all_versions(change.current)
      redis.call('DEL', tenant, keys, used)
      redis.call('ZREM', order, change.id)
      redis.call('ZADD', deleted, now, change.id)
    end
  end
end

if change.known and not is_known(change.known) then
  return -2
end
if change.claim and redis.call('GET', call) ~= change.claim.value then
  return -3
end
local judge = change.discovered and judge_discovered
  or change.id == 'platform.tokens' and judge_tokens
  or change.id == 'platform' and judge_platform or judge_tenant
local write = judge()
if type(write) == 'number' then
  return write
end

local now = tonumber(redis.call('TIME')[1])
local number = redis.call('INCR', revision)
-- First of all: a change without an entry must not be written.
if change.audit then
  redis.call('XADD', audit, 'MAXLEN', '~', change.audit.most, '*', 'entry', change.audit.entry, 'mac',
    change.audit.mac, 'number', number)
end
write(number, now)
if tonumber(redis.call('GET', format) or 0) < change.format then
  redis.call('SET', format, change.format)
end
if change.claim then
  redis.call('SET', call, change.claim.result, 'PX', change.claim.kept_ms)
end
if judge ~= judge_tokens then  -- proxies know no tokens
  redis.call('ZADD', changes, number, change.id)
  drop_old_deletions(now)
  redis.call('PUBLISH', change.channel, change.id)
end
return number
