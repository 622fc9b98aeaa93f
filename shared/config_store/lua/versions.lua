-- Put before scripts that write: the versions of one owner, and the state of the store. `owner` has the names of
-- its keys: versions, notes, sizes, dropped, pinned and pinned_parts, and the beginnings of those of its roots and
-- parts.

-- An owner whose keys stand in `keys` from `first` on.
local function owner_of(keys, first, roots, parts)
  local owner = {roots = roots, parts = parts}
  for at, name in ipairs({'versions', 'notes', 'sizes', 'dropped', 'pinned', 'pinned_parts'}) do
    owner[name] = keys[first + at - 1]
  end
  return owner
end

-- Calls `call` with the items, as many at a time as Lua takes as arguments.
local function in_batches(items, call)
  for first = 1, #items, 1000 do
    call(unpack(items, first, math.min(first + 999, #items)))
  end
end

-- The versions that are not pinned, oldest first: as many as asked for, if there are so many.
local function oldest_versions(owner, count)
  local found = {}
  local last = redis.call('SCARD', owner.pinned) + count - 1
  for _, version in ipairs(redis.call('ZRANGE', owner.versions, 0, last)) do
    if #found < count and redis.call('SISMEMBER', owner.pinned, version) == 0 then
      found[#found + 1] = version
    end
  end
  return found
end

-- The oldest versions above the bounds of their number and of their bytes. The newest one always stays.
local function excess_versions(owner, most, most_bytes)
  local loose = redis.call('ZCARD', owner.versions) - redis.call('SCARD', owner.pinned)
  local bytes = 0
  for _, size in ipairs(redis.call('HVALS', owner.sizes)) do
    bytes = bytes + size
  end
  local found = {}
  if loose <= most and bytes <= most_bytes then
    return found
  end
  for at, version in ipairs(oldest_versions(owner, loose - 1)) do
    if at > loose - most and bytes <= most_bytes then
      break
    end
    found[at] = version
    bytes = bytes - redis.call('HGET', owner.sizes, version)
  end
  return found
end

-- Drops the oldest versions above the bounds, and the parts that only they name. A part whose score is at most
-- the oldest version left is named by none of these.
local function drop_old_versions(owner, most, most_bytes)
  local excess = excess_versions(owner, most, most_bytes)
  if #excess == 0 then
    return
  end
  for _, version in ipairs(excess) do
    redis.call('DEL', owner.roots .. version)
    redis.call('ZREM', owner.versions, version)
    redis.call('HDEL', owner.notes, version)
    redis.call('HDEL', owner.sizes, version)
  end
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', owner.dropped, '-inf', oldest_versions(owner, 1)[1])) do
    if redis.call('HEXISTS', owner.pinned_parts, name) == 0 then
      redis.call('DEL', owner.parts .. name)
      redis.call('ZREM', owner.dropped, name)
    end
  end
end

-- Notes a new version of so many bytes, whose root and parts are stored. The one before becomes an old version,
-- unless it has no root.
local function note_version(owner, new, bytes)
  if new.before_note then
    if not redis.call('ZSCORE', owner.versions, new.before) then
      redis.call('ZADD', owner.versions, new.before, new.before)
      redis.call('HSETNX', owner.notes, new.before, new.before_note)
      redis.call('HSETNX', owner.sizes, new.before, redis.call('STRLEN', owner.roots .. new.before))
    end
  elseif new.whole then
    redis.call('DEL', new.whole)
  end
  in_batches(new.names, function(...)
    redis.call('ZREM', owner.dropped, ...)
  end)
  local dropped = {}
  for at, name in ipairs(new.dropped) do
    dropped[2 * at - 1], dropped[2 * at] = new.version, name
  end
  in_batches(dropped, function(...)
    redis.call('ZADD', owner.dropped, ...)
  end)
  redis.call('ZADD', owner.versions, new.version, new.version)
  redis.call('HSET', owner.notes, new.version, new.note)
  redis.call('HSET', owner.sizes, new.version, bytes)
end

-- Drops all versions, with the parts of the newest one.
local function drop_all_versions(owner, version, names)
  for _, one in ipairs(redis.call('ZRANGE', owner.versions, 0, -1)) do
    redis.call('UNLINK', owner.roots .. one)
  end
  for _, name in ipairs(redis.call('ZRANGE', owner.dropped, 0, -1)) do
    redis.call('UNLINK', owner.parts .. name)
  end
  redis.call('UNLINK', owner.roots .. version)
  for _, name in ipairs(names) do
    redis.call('UNLINK', owner.parts .. name)
  end
  redis.call('DEL', owner.versions, owner.notes, owner.sizes, owner.dropped, owner.pinned, owner.pinned_parts)
end

-- Whether this is the store that a caller knows, and at least as new: keys first, then the state that it has seen.
local function is_known(identity, revision, known)
  return redis.call('HGET', identity, 'id') == known.id
    and tonumber(redis.call('HGET', identity, 'generation')) == known.generation
    and tonumber(redis.call('GET', revision) or 0) >= known.revision
end

-- Adds an entry to the audit log, first of all: a change without one must not be written.
local function add_entry(audit, most, entry, mac, number)
  redis.call('XADD', audit, 'MAXLEN', '~', most, '*', 'entry', entry, 'mac', mac, 'number', number)
end

-- Counts a stored response for its caller. Above the most that a caller may have, the oldest one goes.
local function count_call(call, claim)
  local time, kept = redis.call('TIME'), claim.kept_ms * 1000
  local now = time[1] * 1000000 + time[2]
  redis.call('ZREMRANGEBYSCORE', claim.calls, '-inf', now - kept)
  redis.call('ZADD', claim.calls, now, call)
  redis.call('PEXPIRE', claim.calls, claim.kept_ms)
  local spare = redis.call('ZCARD', claim.calls) - claim.most
  for _, old in ipairs(spare > 0 and redis.call('ZRANGE', claim.calls, 0, spare - 1) or {}) do
    redis.call('UNLINK', old)
    redis.call('ZREM', claim.calls, old)
  end
end

-- Notes the layout of what was written, and the result of a call with an Idempotency-Key.
local function finish_call(format, layout, call, claim)
  if tonumber(redis.call('GET', format) or 0) < layout then
    redis.call('SET', format, layout)
  end
  if claim then
    redis.call('SET', call, claim.result, 'PX', claim.kept_ms)
    count_call(call, claim)
  end
end

local DELETED_SECONDS = 86400 -- how long a deletion stays in `changes`

-- Forgets deletions that every reader has seen.
local function drop_old_deletions(changes, deleted, now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', deleted, '-inf', now - DELETED_SECONDS, 'LIMIT', 0, 100)) do
    redis.call('ZREM', deleted, id)
    redis.call('ZREM', changes, id)
  end
end
