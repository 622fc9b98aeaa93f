-- Takes back what was charged to windows: from the bucket that was charged, or from the oldest that count.
--
-- KEYS: counters of kind "window", as in limiter.lua.
-- ARGV: time in microseconds (0: the server's), time of the charge (0: not known), then for each counter:
--       window in microseconds, cost.

local BUCKETS = 64
local SLOTS = BUCKETS + 1

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local charged_at = tonumber(ARGV[2])

-- The counter with its ring by bucket, and the bounds of what counts. Nil when nothing is stored.
local function load(key, width)
  local stored = {}
  local flat = redis.call('HGETALL', key)
  for place = 1, #flat, 2 do stored[flat[place]] = tonumber(flat[place + 1]) end
  if not stored.b then return end
  local counter = {key = key, total = stored.t, newest = stored.b, ring = {}}
  local bucket = math.floor(now / width)
  counter.first_live = math.max(stored.o, stored.b - BUCKETS, bucket - BUCKETS)
  -- The clock went back by more than a window: nothing of it counts.
  if stored.b > bucket + BUCKETS then counter.first_live = stored.b + 1 end
  for bucket = counter.first_live, stored.b do counter.ring[bucket] = stored[tostring(bucket % SLOTS)] end
  return counter
end

local function take(counter, bucket, cost)
  local charged = counter.ring[bucket] or 0
  local taken = math.min(charged, cost)
  if taken == 0 then return cost end
  local slot = bucket % SLOTS
  counter.total = counter.total - taken
  counter.ring[bucket] = charged - taken
  if taken < charged then
    redis.call('HSET', counter.key, slot, charged - taken)
  else
    counter.ring[bucket] = nil
    redis.call('HDEL', counter.key, slot)
  end
  return cost - taken
end

-- The oldest mark stands on a bucket that holds something. A counter that holds nothing is none.
local function finish(counter)
  if not next(counter.ring) then
    redis.call('DEL', counter.key)
    return
  end
  redis.call('HSET', counter.key, 't', counter.total)
  local oldest = tonumber(redis.call('HGET', counter.key, 'o'))
  if oldest < counter.first_live or counter.ring[oldest] then return end
  while not counter.ring[oldest] do oldest = oldest + 1 end
  redis.call('HSET', counter.key, 'o', oldest)
end

for place, key in ipairs(KEYS) do
  local width = math.ceil(tonumber(ARGV[2 * place + 1]) / BUCKETS)
  local cost = tonumber(ARGV[2 * place + 2])
  local counter = load(key, width)
  if counter and charged_at > 0 then
    take(counter, math.floor(charged_at / width), cost)
  elseif counter then
    for bucket = counter.first_live, counter.newest do cost = take(counter, bucket, cost) end
  end
  if counter then finish(counter) end
end
return 1
