-- Removes leftovers whose time has come: parts and roots that were staged and never used, and what is stored of
-- tenants that were deleted together. After versions.lua. Reply: how many leftovers were looked at.
-- KEYS: leftovers, platform. ARGV[1]: how many at most; ARGV[2]: the beginnings of keys as JSON.
-- A leftover is 'key <name>', 'part <owner> <name>' or 'owner <id> <version>'.

local leftovers, platform = unpack(KEYS)
local prefix = cjson.decode(ARGV[2])

local function root_of(id)
  local record = id == 'platform' and platform or prefix.tenant .. id
  return redis.call('GET', prefix.doc .. id .. ':' .. (redis.call('HGET', record, 'version') or '')) or ''
end

-- Removes a part that neither the present root of its owner nor an old version names.
local function sweep_part(id, name)
  local is_named = redis.call('ZSCORE', prefix.dropped .. id, name)
    or string.find(root_of(id), '"' .. name .. '"', 1, true)
  if not is_named then
    redis.call('DEL', prefix.part .. id .. ':' .. name)
  end
end

local function sweep_owner(id, version)
  if redis.call('EXISTS', prefix.tenant .. id) == 1 then
    return
  end
  local owner = {roots = prefix.doc .. id .. ':', parts = prefix.part .. id .. ':'}
  for _, name in ipairs({'versions', 'notes', 'dropped', 'pinned', 'pinned_parts'}) do
    owner[name] = prefix[name] .. id
  end
  owner.sizes = prefix.version_bytes .. id
  -- All texts that could be names: others have no part.
  local names = {}
  for name in string.gmatch(redis.call('GET', owner.roots .. version) or '', '"([%w_-]+)"') do
    names[#names + 1] = name
  end
  drop_all_versions(owner, version, names)
end

local now = redis.call('TIME')[1]
local due = redis.call('ZRANGEBYSCORE', leftovers, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, leftover in ipairs(due) do
  local kind, id, name = string.match(leftover, '^(%S+) (%S+) ?(%S*)$')
  if kind == 'part' then
    sweep_part(id, name)
  elseif kind == 'owner' then
    sweep_owner(id, name)
  else
    redis.call('DEL', id)
  end
  redis.call('ZREM', leftovers, leftover)
end
return #due
