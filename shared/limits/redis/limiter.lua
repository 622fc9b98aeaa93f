-- Charges one request to all its limits, or to none of them.
--
-- KEYS: one counter per limit, or the four keys of a budget (budget.lua); all different.
-- ARGV: time in microseconds (0: that of the server); 0 to charge nothing, 1 to charge when all limits have
--       room, 2 to charge in any case; then for each limit:
--       "window", limit, window in microseconds, cost; or "concurrent", limit, length of a lease, lease; or
--       "budget", limit, length of a lease, lease, what it reserves, end of the period in milliseconds (0: none).
-- Reply: 1 when all limits have room, the time, then for each limit: remaining (below 0 in a budget with a
--        debt), milliseconds until there is more (-1: never; 0 for concurrent limits, where it is not known).
--        When a charge is rejected, then for each limit a list: the buckets of a window and their units.
--
-- A counter of kind "window" is a string (counter.lua), one of kind "concurrent" a sorted set of leases by
-- their ends. A rejected request writes nothing, unless leases of a budget have ended: they count as used then.

-- A budget that nothing changes for so long after its period is forgotten, in milliseconds.
local KEPT = 40 * 86400 * 1000
-- Leases of a budget that one charge counts as lost at most.
local MAX_LOST = 64

-- The next key and argument to read.
local next_key, next_argument = 1, 3

local function take(count)
  next_argument = next_argument + count
  return unpack(ARGV, next_argument - count, next_argument - 1)
end

-- Moves the counter to a newer bucket: older buckets leave the window and count no longer.
local function rotate(counter, bucket)
  local first_live = bucket - BUCKETS
  while counter.oldest < first_live and counter.oldest < counter.bucket do
    local charged, gap, at = older(counter.ring, counter.at)
    counter.total = counter.total - charged
    counter.oldest = counter.oldest + gap
    counter.at = at
  end
  local kept = string.sub(counter.ring, counter.at)
  if counter.bucket >= first_live then
    counter.ring = kept .. as_older(counter.charged, bucket - counter.bucket)
  else
    counter.ring, counter.total, counter.oldest = '', 0, bucket
  end
  counter.at, counter.bucket, counter.charged, counter.rotated = 1, bucket, 0, true
end

local function read_window(key)
  local limit, window, cost = take(3)
  local width = math.ceil(window / BUCKETS)
  local bucket = math.floor(now / width)
  -- With all its fields from the beginning, the table is not made larger.
  local counter = {
    key = key, limit = tonumber(limit), cost = tonumber(cost), width = width, total = 0, bucket = bucket,
    oldest = bucket, charged = 0, ring = '', at = 1, rotated = false
  }
  local stored = redis.call('GET', key)
  if stored then
    local total, newest, span, charged = struct.unpack(HEAD, stored)
    -- Otherwise the clock went back by more than a window. Rejections write nothing, so they would go on until
    -- the clock has caught up.
    if newest <= bucket + BUCKETS then
      counter.total, counter.bucket, counter.oldest, counter.charged = total, newest, newest - span, charged
      counter.ring, counter.at = stored, HEAD_LENGTH + 1
      -- When the clock went back a little, the bucket stays.
      if newest < bucket then rotate(counter, bucket) end
      return counter
    end
  end
  counter.rotated = true
  return counter
end

-- A lease that ends later than two lengths from now was acquired before the clock went back. It does not count.
local function read_leases(key)
  local limit, length, lease = take(3)
  length = tonumber(length)
  local counter = {key = key, limit = tonumber(limit), cost = 1, length = length, lease = lease}
  counter.total = redis.call('ZCOUNT', key, '(' .. exact(now), exact(now + 2 * length))
  local own = tonumber(redis.call('ZSCORE', key, lease))
  if own and own > now and own <= now + 2 * length then counter.total = counter.total - 1 end
  return counter
end

local function read_budget(key)
  local limit, length, lease, amount, ends = take(5)
  next_key = next_key + 3
  local used, held, known_ends = unpack(redis.call('HMGET', key, 'used', 'held', 'ends'))
  held = tonumber(held or 0)
  return {
    key = key, leases = KEYS[next_key - 3], amounts = KEYS[next_key - 2], lost = KEYS[next_key - 1],
    limit = tonumber(limit), cost = tonumber(amount), amount = amount, length = tonumber(length),
    lease = lease, ends = ends, known_ends = known_ends, held = held, total = tonumber(used or 0) + held
  }
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

local function expire(counter, key)
  if counter.ends == '0' then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIREAT', key, exact(counter.ends + KEPT))
  end
end

-- The process of a lease that ended may have used all that it reserved.
local function count_lost(counter)
  local ended = redis.call('ZRANGEBYSCORE', counter.leases, '-inf', exact(now), 'LIMIT', 0, MAX_LOST)
  for _, lease in ipairs(ended) do
    local reserved = redis.call('HGET', counter.amounts, lease) or '0'
    redis.call('ZREM', counter.leases, lease)
    redis.call('HDEL', counter.amounts, lease)
    redis.call('HINCRBY', counter.key, 'held', exact(0 - reserved))
    redis.call('HINCRBY', counter.key, 'used', reserved)
    counter.held = counter.held - reserved
    if redis.call('ZADD', counter.lost, 'NX', reserved, lease) == 1 then
      redis.call('HINCRBY', counter.key, 'lost', 1)
    else
      -- It had ended before, and has reserved more since then.
      redis.call('ZINCRBY', counter.lost, reserved, lease)
    end
  end
  if ended[1] then expire(counter, counter.lost) end
end

local function reserve(counter)
  redis.call('HINCRBY', counter.key, 'held', counter.amount)
  redis.call('HINCRBY', counter.amounts, counter.lease, counter.amount)
  redis.call('ZADD', counter.leases, exact(now + counter.length), counter.lease)
  local is_new = counter.known_ends ~= counter.ends
  if is_new then
    redis.call('HSET', counter.key, 'ends', counter.ends)
    expire(counter, counter.key)
    expire(counter, counter.lost)
  end
  -- A key without a lease is gone, and so is the time when it expires.
  if is_new or counter.held == 0 then
    expire(counter, counter.leases)
    expire(counter, counter.amounts)
  end
  counter.total = counter.total + counter.cost
end

local function write(counter)
  if counter.amount then return reserve(counter) end
  if counter.lease then return write_lease(counter) end
  counter.total = counter.total + counter.cost
  counter.charged = counter.charged + counter.cost
  local bucket = counter.bucket
  local head = struct.pack(HEAD, counter.total, bucket, bucket - counter.oldest, counter.charged)
  if counter.rotated then
    local lifetime = math.ceil(SLOTS * counter.width / 1000)
    redis.call('SET', counter.key, head .. counter.ring, 'PX', lifetime)
  else
    redis.call('SETRANGE', counter.key, 0, head)
  end
end

-- Milliseconds until units leave the window, as many as another request of this cost needs.
local function wait(counter)
  if counter.cost > counter.limit or counter.ends == '0' then return -1 end
  if counter.ends then return math.max(math.ceil(counter.ends - now / 1000), 0) end
  if counter.lease or counter.total == 0 then return 0 end
  local lacking = math.max(counter.total + counter.cost - counter.limit, 1)
  local last, at = counter.oldest, counter.at
  while last < counter.bucket do
    local charged, gap, next = older(counter.ring, at)
    lacking = lacking - charged
    if lacking <= 0 then break end
    last, at = last + gap, next
  end
  return math.ceil(((last + SLOTS) * counter.width - now) / 1000)
end

-- The buckets that count, and their units.
local function charged_buckets(counter)
  local found = {}
  if counter.lease then return found end
  local bucket, at = counter.oldest, counter.at
  while bucket < counter.bucket do
    local charged, gap, next = older(counter.ring, at)
    found[#found + 1], found[#found + 2] = bucket, charged
    bucket, at = bucket + gap, next
  end
  found[#found + 1], found[#found + 2] = counter.bucket, counter.charged
  return found
end

local READ = {window = read_window, concurrent = read_leases, budget = read_budget}

local counters = {}
local allowed = 1
while KEYS[next_key] do
  local kind = take(1)
  if not READ[kind] then return redis.error_reply('ERR unknown kind of limit ' .. tostring(kind)) end
  next_key = next_key + 1
  local counter = READ[kind](KEYS[next_key - 1])
  if not has_room(counter) then allowed = 0 end
  counters[#counters + 1] = counter
end

local charge = ARGV[2] == '2' or ARGV[2] == '1' and allowed == 1
local reply = {allowed, now}
for _, counter in ipairs(counters) do
  if counter.amount and counter.held > 0 and ARGV[2] ~= '0' then count_lost(counter) end
  if charge then write(counter) end
  local remaining = counter.limit - counter.total
  reply[#reply + 1] = counter.amount and remaining or math.max(remaining, 0)
  reply[#reply + 1] = wait(counter)
end
if ARGV[2] == '1' and allowed == 0 then
  for _, counter in ipairs(counters) do reply[#reply + 1] = charged_buckets(counter) end
end
return reply
