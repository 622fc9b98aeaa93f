-- Writes several tenants, and the platform, in one step, with every index, and publishes the changes. Their roots
-- and parts are staged, so only names move. After versions.lua.
-- Reply: the number of the last change; 0 when anything was modified concurrently, or a staged key is gone, -1
-- when a subdomain is taken, -2 when this is not the store that the caller knows, -3 when the claim of the call
-- is gone, -4 when other tenants use what the platform would lose.
-- KEYS are described in layout.py; those of owners are made from `head.keys`. ARGV[1] is the head as JSON, see
-- together_call in records/. For each owner follow four texts: the owner as JSON, its entry in the audit log with
-- its code, and the note of its new version.

local identity, revision, format, changes, deleted, platform, call, audit, subdomains, hashes, order, leftovers =
  unpack(KEYS)
local head = cjson.decode(ARGV[1])

local owners = {}
for at = 1, head.owners do
  local first = 4 * at - 2
  local one = cjson.decode(ARGV[first])
  one.entry, one.mac, one.note = ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  one.key = one.id == 'platform' and platform or head.keys.tenant .. one.id
  one.roots, one.parts = head.keys.doc .. one.id .. ':', head.keys.part .. one.id .. ':'
  for _, name in ipairs({'versions', 'notes', 'dropped', 'pinned', 'pinned_parts'}) do
    one[name] = head.keys[name] .. one.id
  end
  one.sizes = head.keys.version_bytes .. one.id
  owners[at] = one
end

-- Whether an owner is as its writer read it, and all that was staged for it is there.
local function is_as_before(one)
  local found = redis.call('HMGET', one.key, 'revision', 'root')
  if (found[1] or one.none) ~= one.before or (found[2] or '') ~= one.replaces then
    return false
  end
  if not one.content then
    return true
  end
  local wanted, there = 1, redis.call('EXISTS', one.staged)
  local keys = {}
  for at, name in ipairs(one.content.names) do
    keys[at] = one.parts .. name
  end
  in_batches(keys, function(...)
    wanted = wanted + select('#', ...)
    there = there + redis.call('EXISTS', ...)
  end)
  return wanted == there
end

-- Whether another tenant has a new subdomain, or had it a short time ago.
local function is_taken()
  for at = 1, #head.claimed, 2 do
    local name, id = head.claimed[at], head.claimed[at + 1]
    local former = redis.call('GET', head.keys.quarantine .. name)
    if redis.call('HEXISTS', subdomains, name) == 1 or (former and former ~= id) then
      return true
    end
  end
end

-- What is wrong with the platform: 0 or -4; nil if nothing is.
local function judge_platform()
  if head.platform and tonumber(redis.call('HGET', platform, 'revision') or 0) ~= head.platform then
    return 0
  end
  -- Those that are written no longer use it, so there must be no others.
  for use, count in pairs(head.removed) do
    if redis.call('SCARD', head.keys.uses .. use) ~= count then
      return -4
    end
  end
  local judged = {}
  for _, one in ipairs(owners) do
    judged[one.id] = true
  end
  for _, user in ipairs(head.users) do
    if redis.call('HGET', head.keys.tenant .. user.id, 'version') ~= user.version then
      return 0
    end
    judged[user.id] = true
  end
  for _, use in ipairs(head.narrowed) do
    for _, id in ipairs(redis.call('SMEMBERS', head.keys.uses .. use)) do
      if not judged[id] then
        return 0
      end
    end
  end
end

local function judge()
  if head.known and not is_known(identity, revision, head.known) then
    return -2
  end
  if head.claim and redis.call('GET', call) ~= head.claim.value then
    return -3
  end
  for _, one in ipairs(owners) do
    if not is_as_before(one) then
      return 0
    end
  end
  return is_taken() and -1 or judge_platform()
end

local function put_content(one)
  local new = one.content
  new.note = one.note
  redis.call('RENAME', one.staged, one.roots .. new.version)
  note_version(one, new, new.bytes)
end

local function put_keys(one)
  local list = head.keys.keys .. one.id
  redis.call('DEL', list)
  in_batches(one.keys, function(...)
    redis.call('RPUSH', list, ...)
  end)
end

-- A tenant that is gone for all readers. Its other keys are left to sweep.lua.
local function drop_tenant(one, now)
  redis.call('ZADD', leftovers, now, 'owner ' .. one.id .. ' ' .. one.version)
  redis.call('DEL', one.key, head.keys.keys .. one.id, head.keys.used .. one.id)
  redis.call('ZREM', order, one.id)
  redis.call('ZADD', deleted, now, one.id)
  redis.call('HDEL', subdomains, one.freed)
  if head.quarantine_ms > 0 then
    redis.call('SET', head.keys.quarantine .. one.freed, one.id, 'PX', head.quarantine_ms)
  end
end

local function put(one, number, now)
  add_entry(audit, head.most_entries, one.entry, one.mac, number)
  if one.content then
    put_content(one)
  end
  if one.record then
    redis.call('HSET', one.key, 'revision', number, unpack(one.record))
  else
    drop_tenant(one, now)
  end
  if one.keys then
    put_keys(one)
  end
  redis.call('PUBLISH', head.channel, one.id)
end

-- Puts or drops the members of indexes: each has a command with its key, and the rest of its arguments.
local function update_indexes()
  for _, index in ipairs(head.indexes) do
    local command = index.command
    in_batches(index.arguments, function(...)
      redis.call(command[1], command[2], ...)
    end)
  end
end

local rejected = judge()
if rejected then
  return rejected
end

local now = tonumber(redis.call('TIME')[1])
local number = redis.call('INCRBY', revision, #owners) - #owners
local numbered = {}
for at, one in ipairs(owners) do
  put(one, number + at, now)
  numbered[#numbered + 1] = number + at
  numbered[#numbered + 1] = one.id
  if one.created then
    redis.call('ZADD', order, 'NX', number + at, one.id)
  end
end
update_indexes()
in_batches(numbered, function(...)
  redis.call('ZADD', changes, ...)
end)
finish_call(format, head.format, call, head.claim)
drop_old_deletions(changes, deleted, now)
return number + #owners
