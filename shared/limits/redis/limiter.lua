-- Charges one request to all its limits, or to none of them.
--
-- KEYS: one counter a limit, all different.
-- ARGV: time in microseconds (0: the server's); 0 to look only, 1 to charge when all have room, 2 to charge
--       anyhow; then for each limit:
--       "window", limit, window in microseconds, cost; or "concurrent", limit, length of a lease, lease.
-- Answer: 1 when all have room, the time, then for each limit: remaining, milliseconds until there is more
--         (-1: never; 0 for concurrent: nobody knows).
--
-- A counter of kind "window" is a string (counter.lua), one of kind "concurrent" a sorted set: lease -> its
-- end. A refused request writes nothing.

-- Turns the counter to a newer bucket: what fell out of the window since then counts no longer.
local function turn(counter, bucket)
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
  counter.at, counter.bucket, counter.charged, counter.turned = 1, bucket, 0, true
end

local function read_window(key, limit, window, cost)
  local width = math.ceil(window / BUCKETS)
  local bucket = math.floor(now / width)
  local counter = {key = key, limit = limit, cost = cost, width = width}
  local stored = redis.call('GET', key)
  if stored then
    local total, newest, span, charged = struct.unpack(HEAD, stored)
    -- Else the clock went back by more than a window. Who is refused, and so writes nothing, would be until it
    -- has caught up.
    if newest <= bucket + BUCKETS then
      counter.total, counter.bucket, counter.oldest, counter.charged = total, newest, newest - span, charged
      counter.ring, counter.at = stored, HEAD_LENGTH + 1
      -- When the clock went back a little, the bucket does not.
      if newest < bucket then turn(counter, bucket) end
      return counter
    end
  end
  counter.total, counter.bucket, counter.oldest, counter.charged = 0, bucket, bucket, 0
  counter.ring, counter.at, counter.turned = '', 1, true
  return counter
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
  counter.total = counter.total + counter.cost
  counter.charged = counter.charged + counter.cost
  local bucket = counter.bucket
  local head = struct.pack(HEAD, counter.total, bucket, bucket - counter.oldest, counter.charged)
  if counter.turned then
    local lifetime = math.ceil(SLOTS * counter.width / 1000)
    redis.call('SET', counter.key, head .. counter.ring, 'PX', lifetime)
  else
    redis.call('SETRANGE', counter.key, 0, head)
  end
end

-- Milliseconds until something falls out of the window, or as much as another request of this cost needs.
local function wait(counter)
  if counter.cost > counter.limit then return -1 end
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
