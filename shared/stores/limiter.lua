-- Charges one request to all its limits, or to none of them.
--
-- KEYS: one counter a limit, all different.
-- ARGV: time in microseconds (0: the server's); 0 to look only, 1 to charge when all have room, 2 to charge
--       anyhow; then for each limit:
--       "window", limit, window in microseconds, cost; or "concurrent", limit, length of a lease, lease.
-- Answer: 1 when all have room, the time, then for each limit: remaining, milliseconds until there is more
--         (-1: never; 0 for concurrent: nobody knows).
--
-- A counter of kind "window" is a hash: t total, b newest bucket, o oldest bucket that holds something, and
-- the ring: bucket % 65 -> charged. One of kind "concurrent" is a sorted set: lease -> its end. A refused
-- request writes nothing.

local BUCKETS = 64
local SLOTS = BUCKETS + 1

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function load_ring(counter)
  if counter.ring then return end
  counter.ring = {}
  local flat = redis.call('HGETALL', counter.key)
  for place = 1, #flat, 2 do
    local slot = tonumber(flat[place])
    if slot then counter.ring[slot] = tonumber(flat[place + 1]) end
  end
end

-- Takes out of the total what fell out of the window since the newest bucket, and notes its slots.
local function forget(counter, newest)
  local first_live = counter.bucket - BUCKETS
  if counter.oldest >= first_live then return end
  load_ring(counter)
  local oldest
  for bucket = counter.oldest, newest do
    local slot = bucket % SLOTS
    local charged = counter.ring[slot]
    if charged and bucket < first_live then
      counter.total = counter.total - charged
      counter.ring[slot] = nil
      counter.stale[#counter.stale + 1] = slot
    elseif charged and not oldest then
      oldest = bucket
    end
  end
  counter.oldest = oldest or counter.bucket
end

local function read_window(key, limit, window, cost)
  local width = math.ceil(window / BUCKETS)
  local bucket = math.floor(now / width)
  local stored = redis.call('HMGET', key, 't', 'b', 'o', bucket % SLOTS)
  local newest = tonumber(stored[2])
  -- The clock went back by more than a window. Else who is refused, and so writes nothing, would be until
  -- it has caught up.
  local foreign = newest and newest > bucket + BUCKETS
  if foreign then stored, newest = {}, nil end
  local counter = {
    key = key, limit = limit, cost = cost, width = width, bucket = bucket, stale = {}, foreign = foreign,
    total = tonumber(stored[1]) or 0, oldest = tonumber(stored[3]) or bucket, charged = 0,
    turned = not newest or newest < bucket,
  }
  if newest == bucket then
    counter.charged = tonumber(stored[4]) or 0
  elseif newest and newest > bucket then
    -- The clock went back a little; the bucket never does.
    counter.bucket = newest
    counter.charged = tonumber(redis.call('HGET', key, newest % SLOTS)) or 0
  elseif newest then
    forget(counter, newest)
  end
  return counter
end

local function exact(time)
  return string.format('%.0f', time)
end

-- A lease that ends later than two lengths from now was taken before the clock went back. It does not count.
local function read_leases(key, limit, length, lease)
  local counter = {key = key, limit = limit, cost = 1, length = length, lease = lease}
  counter.total = redis.call('ZCOUNT', key, '(' .. exact(now), exact(now + 2 * length))
  local own = tonumber(redis.call('ZSCORE', key, lease))
  if own and own > now and own <= now + 2 * length then counter.total = counter.total - 1 end
  return counter
end

local function has_room(counter)
  return counter.total + counter.cost <= counter.limit
end

local function write_lease(counter)
  redis.call('ZREMRANGEBYSCORE', counter.key, '-inf', exact(now))
  redis.call('ZREMRANGEBYSCORE', counter.key, '(' .. exact(now + 2 * counter.length), '+inf')
  redis.call('ZADD', counter.key, exact(now + counter.length), counter.lease)
  redis.call('PEXPIRE', counter.key, math.ceil(counter.length / 1000))
  counter.total = counter.total + 1
end

local function write(counter)
  if counter.lease then return write_lease(counter) end
  if counter.foreign then redis.call('DEL', counter.key) end
  local slot = counter.bucket % SLOTS
  counter.total = counter.total + counter.cost
  counter.charged = counter.charged + counter.cost
  if counter.ring then counter.ring[slot] = counter.charged end
  if not counter.turned then
    redis.call('HSET', counter.key, 't', counter.total, slot, counter.charged)
    return
  end
  if #counter.stale > 0 then redis.call('HDEL', counter.key, unpack(counter.stale)) end
  redis.call('HSET', counter.key, 't', counter.total, 'b', counter.bucket, 'o', counter.oldest, slot, counter.charged)
  redis.call('PEXPIRE', counter.key, math.ceil(SLOTS * counter.width / 1000))
end

-- Milliseconds until something falls out of the window, or as much as another request of this cost needs.
local function wait(counter)
  if counter.cost > counter.limit then return -1 end
  if counter.lease or counter.total == 0 then return 0 end
  local lacking = counter.total + counter.cost - counter.limit
  local last = counter.oldest
  if lacking > 1 then
    load_ring(counter)
    lacking = lacking - (counter.ring[last % SLOTS] or 0)
    while lacking > 0 and last < counter.bucket do
      last = last + 1
      lacking = lacking - (counter.ring[last % SLOTS] or 0)
    end
  end
  return math.ceil(((last + SLOTS) * counter.width - now) / 1000)
end

local function read(key, kind, limit, length, last)
  if kind == 'window' then return read_window(key, tonumber(limit), tonumber(length), tonumber(last)) end
  if kind == 'concurrent' then return read_leases(key, tonumber(limit), tonumber(length), last) end
  return redis.error_reply('ERR unknown kind of limit ' .. kind)
end

local counters = {}
local allowed = 1
for place, key in ipairs(KEYS) do
  local counter = read(key, unpack(ARGV, 4 * place - 1, 4 * place + 2))
  if counter.err then return counter end
  if not has_room(counter) then allowed = 0 end
  counters[place] = counter
end

local charge = ARGV[2] == '2' or ARGV[2] == '1' and allowed == 1
local answer = {allowed, now}
for _, counter in ipairs(counters) do
  if charge then write(counter) end
  answer[#answer + 1] = math.max(counter.limit - counter.total, 0)
  answer[#answer + 1] = wait(counter)
end
return answer
