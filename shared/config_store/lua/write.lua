-- Replaces the stored data of one tenant, the document or the tokens of the platform, or the list of models of a
-- provider, with every index, in one step, and publishes the change. All but the last get an entry in the audit log.
-- Reply: the number of the change; 0 when the data were modified concurrently or no reader needs to know, -1
-- when the subdomain is taken, -2 when this is not the store that the caller knows, -3 when the claim of the
-- call is gone, -4 when tenants use what the platform would lose.
-- KEYS are described in layout.py. ARGV[1] is the change as JSON, see write_call and write_platform_call in
-- records/. If a content changes, ARGV has its root and its new parts, too. The keys of roots and parts are
-- made from their prefixes: only here it is known which of them go. After versions.lua.

local identity, revision, format, changes, deleted, platform, call, audit = unpack(KEYS, 1, 8)
local change = cjson.decode(ARGV[1])
local owner = owner_of(KEYS, 9, change.roots, change.parts)
local FIRST_OWN = 15 -- the first key of the kind of change

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

-- Stores a new version of a content.
local function put_version(new)
  redis.call('SET', owner.roots .. new.version, ARGV[2])
  local bytes = #ARGV[2]
  for at, name in ipairs(new.names) do
    bytes = bytes + #ARGV[2 + at]
    redis.call('SET', owner.parts .. name, ARGV[2 + at])
  end
  note_version(owner, new, bytes)
  drop_old_versions(owner, new.most, new.most_bytes)
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
  local list, id = KEYS[FIRST_OWN], change.id
  if not redis.call('ZSCORE', changes, id) or redis.call('ZSCORE', deleted, id) then
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

-- The tokens of the platform: the same. An event, such as a log-in, is a change of no token in another record.
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

  local function belongs_to_other(id)
    return id and id ~= change.id
  end

  if (redis.call('HGET', tenant, 'revision') or '') ~= change.before
    or (redis.call('HGET', tenant, 'root') or '') ~= change.replaces then
    return 0
  end
  if change.platform and tonumber(redis.call('HGET', platform, 'revision') or 0) ~= change.platform then
    return 0
  end
  if change.claimed then
    if belongs_to_other(redis.call('HGET', subdomains, change.claimed)) or belongs_to_other(redis.call('GET', new_quarantine)) then
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
      drop_all_versions(owner, change.current.version, change.current.names)
      redis.call('DEL', tenant, keys, used)
      redis.call('ZREM', order, change.id)
      redis.call('ZADD', deleted, now, change.id)
    end
  end
end

if change.known and not is_known(identity, revision, change.known) then
  return -2
end
if change.claim and redis.call('GET', call) ~= change.claim.value then
  return -3
end
local judge = change.discovered and judge_discovered
  or (change.id == 'platform.tokens' or change.id == 'platform.events') and judge_tokens
  or change.id == 'platform' and judge_platform or judge_tenant
local write = judge()
if type(write) == 'number' then
  return write
end

local now = tonumber(redis.call('TIME')[1])
local number = redis.call('INCR', revision)
if change.audit then
  add_entry(audit, change.audit.most, change.audit.entry, change.audit.mac, number)
end
write(number, now)
finish_call(format, change.format, call, change.claim)
if judge ~= judge_tokens then  -- proxies know no tokens
  redis.call('ZADD', changes, number, change.id)
  drop_old_deletions(changes, deleted, now)
  redis.call('PUBLISH', change.channel, change.id)
end
return number
