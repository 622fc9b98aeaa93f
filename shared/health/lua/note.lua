-- Publishes a report about a target or a key, and stores it; or stores the figures of a worker.
-- KEYS: the hash of the owner, the list of its last failures.
-- ARGV: the channel, the message (empty: none), the failure (empty: none), milliseconds since the Unix epoch,
-- milliseconds that the keys are kept, then pairs of a field and its value. A value begins with the time until
-- which it is of use.

local hash, failures = unpack(KEYS)
local channel, message, failure, now, kept = unpack(ARGV, 1, 5)
local MAX_FIELDS, PURGED_FROM, MAX_FAILURES = 5000, 200, 100

-- First, because it also works when there is no memory left to write to.
if message ~= '' then
  redis.call('PUBLISH', channel, message)
end

local function is_of_use(value)
  return tonumber(string.match(value, '^%d+') or '0') > tonumber(now)
end

-- A later end stands, unless a probe or an operator says otherwise, or has taken it back.
local function stands(old, new)
  if not old or string.find(old, '^%d+ %d+ closed ') then
    return false
  end
  if string.find(new, '^%d+ %d+ probe ') or string.find(new, '^%d+ %d+ operator ') or string.find(new, '^%d+ %d+ closed ') then
    return false
  end
  return string.find(new, '^%d+ %d+ %l') and tonumber(string.match(old, '^%d+')) > tonumber(string.match(new, '^%d+'))
end

local size = redis.call('HLEN', hash)
if size > PURGED_FROM then
  local all = redis.call('HGETALL', hash)
  for i = 1, #all, 2 do
    if not is_of_use(all[i + 1]) then
      redis.call('HDEL', hash, all[i])
      size = size - 1
    end
  end
end
if size < MAX_FIELDS then
  for i = 6, #ARGV, 2 do
    if not stands(redis.call('HGET', hash, ARGV[i]), ARGV[i + 1]) then
      redis.call('HSET', hash, ARGV[i], ARGV[i + 1])
    end
  end
  redis.call('PEXPIRE', hash, kept)
end
if failure ~= '' then
  redis.call('LPUSH', failures, failure)
  redis.call('LTRIM', failures, 0, MAX_FAILURES - 1)
  redis.call('PEXPIRE', failures, kept)
end
return 1
