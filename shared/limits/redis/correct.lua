-- Corrects what was charged to windows: adds units to the charged bucket, or removes some from it; where it is
-- not known, removes some from the oldest buckets that count.
--
-- KEYS: counters of kind "window" (counter.lua).
-- ARGV: time in microseconds (0: that of the server), time of the charge (0: not known), then for each
--       counter: window in microseconds, the units to add, or to remove when negative.

local charged_at = tonumber(ARGV[2])

-- The buckets that count, the oldest first, as {bucket, units}; the newest bucket, and the bounds of those that
-- may count.
local function load(key, width)
  local stored, last = redis.call('GET', key), math.floor(now / width)
  if not stored then return {}, 0, last - BUCKETS, last end
  local _, newest, span, charged = struct.unpack(HEAD, stored)
  -- The clock went back by more than a window: no bucket counts.
  if newest > last + BUCKETS then return {}, newest, newest + 1, newest end
  last = math.max(newest, last)
  local live, bucket, at = {}, newest - span, HEAD_LENGTH + 1
  while bucket < newest do
    local units, gap, next = older(stored, at)
    if bucket >= last - BUCKETS then live[#live + 1] = {bucket, units} end
    bucket, at = bucket + gap, next
  end
  if newest >= last - BUCKETS then live[#live + 1] = {newest, charged} end
  return live, newest, last - BUCKETS, last
end

-- Removes the units, as far as they were charged.
local function remove(live, width, units)
  for _, each in ipairs(live) do
    if charged_at == 0 or each[1] == math.floor(charged_at / width) then
      local taken = math.min(each[2], units)
      each[2] = each[2] - taken
      units = units - taken
    end
  end
end

local function add(live, bucket, units)
  local at = #live
  while at > 0 and live[at][1] > bucket do at = at - 1 end
  if at > 0 and live[at][1] == bucket then
    live[at][2] = live[at][2] + units
  else
    table.insert(live, at + 1, {bucket, units})
  end
end

-- An empty counter is deleted.
local function store(key, width, live, newest, is_newer)
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
    return
  end
  local counter = struct.pack(HEAD, total, newest, newest - oldest, charged) .. ring
  if is_newer then
    redis.call('SET', key, counter, 'PX', math.ceil(SLOTS * width / 1000))
  else
    redis.call('SET', key, counter, 'KEEPTTL')
  end
end

for index, key in ipairs(KEYS) do
  local width = math.ceil(tonumber(ARGV[2 * index + 1]) / BUCKETS)
  local units = tonumber(ARGV[2 * index + 2])
  local live, newest, first, last = load(key, width)
  if units < 0 then
    remove(live, width, -units)
    store(key, width, live, newest)
  else
    local bucket = math.floor(charged_at / width)
    if bucket >= first and bucket <= last then
      add(live, bucket, units)
      -- Others may have emptied the counter, which deletes it, or may have begun it again.
      store(key, width, live, math.max(newest, bucket), bucket > newest)
    end
  end
end
return 1
