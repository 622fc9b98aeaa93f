-- The beginning of each script: the time, and the format of counters of kind "window".
--
-- Such a counter is one string, because a hash takes more bytes for the same numbers and has to be searched.
-- It has a head of fixed length: the total, the newest bucket, the distance from there back to the oldest
-- bucket, and the units of the newest bucket. Then come the older buckets with units, the oldest first: the
-- units (seven bits per byte, the lowest first), and in one byte the distance to the next bucket.

local BUCKETS = 64
local SLOTS = BUCKETS + 1
local HEAD, HEAD_LENGTH = '<I7I7I1I7', 22

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function exact(time)
  return string.format('%.0f', time)
end

-- The older bucket at this position: its units, the distance to the next bucket, and the position of that one.
local function older(ring, at)
  local byte, unit, charged = string.byte(ring, at), 1, 0
  while byte > 127 do
    charged = charged + (byte - 128) * unit
    unit = unit * 128
    at = at + 1
    byte = string.byte(ring, at)
  end
  return charged + byte * unit, string.byte(ring, at + 1), at + 2
end

local function as_older(charged, gap)
  local bytes = ''
  while charged > 127 do
    bytes = bytes .. string.char(charged % 128 + 128)
    charged = math.floor(charged / 128)
  end
  return bytes .. string.char(charged, gap)
end
