-- Removes what was charged to windows: from the charged bucket, or from the oldest buckets that count.
--
-- KEYS: counters of kind "window" (counter.lua).
-- ARGV: time in microseconds (0: that of the server), time of the charge (0: not known), then for each
--       counter: window in microseconds, cost.

local charged_at = tonumber(ARGV[2])

-- The buckets that count, the oldest first, as {bucket, units}; and the newest bucket. Nil without a counter.
local function load(key, width)
  local stored = redis.call('GET', key)
  if not stored then return end
  local _, newest, span, charged = struct.unpack(HEAD, stored)
  local first_live = math.max(newest, math.floor(now / width)) - BUCKETS
  -- The clock went back by more than a window: no bucket counts.
  if newest > math.floor(now / width) + BUCKETS then first_live = newest + 1 end
  local live, bucket, at = {}, newest - span, HEAD_LENGTH + 1
  while bucket < newest do
    local units, gap, next = older(stored, at)
    if bucket >= first_live then live[#live + 1] = {bucket, units} end
    bucket, at = bucket + gap, next
  end
  if newest >= first_live then live[#live + 1] = {newest, charged} end
  return live, newest
end

-- Removes the cost, as far as it was charged.
local function take(live, width, cost)
  for _, each in ipairs(live) do
    if charged_at == 0 or each[1] == math.floor(charged_at / width) then
      local taken = math.min(each[2], cost)
      each[2] = each[2] - taken
      cost = cost - taken
    end
  end
end

-- An empty counter is deleted.
local function store(key, live, newest)
  local total, oldest, charged, ring, last = 0, newest, 0, '', nil
  for _, each in ipairs(live) do
    local bucket, units = each[1], each[2]
    total = total + units
    if bucket == newest then
      charged = units
    elseif units > 0 then
      if last then ring = ring .. as_older(last[2], bucket - last[1]) end
      if not last then oldest = bucket end
      last = each
    end
  end
  if last then ring = ring .. as_older(last[2], newest - last[1]) end
  if total == 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, struct.pack(HEAD, total, newest, newest - oldest, charged) .. ring, 'KEEPTTL')
  end
end

for index, key in ipairs(KEYS) do
  local width = math.ceil(tonumber(ARGV[2 * index + 1]) / BUCKETS)
  local live, newest = load(key, width)
  if live then
    take(live, width, tonumber(ARGV[2 * index + 2]))
    store(key, live, newest)
  end
end
return 1
