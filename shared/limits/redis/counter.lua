-- What the scripts share: the time, and how a counter of kind "window" is kept. It stands before each of them.
--
-- Such a counter is one string, because a hash costs more bytes for the same numbers and has to be searched.
-- A head of fixed length: what is charged in all, the newest bucket, how many buckets before that the oldest
-- one is, what is charged to the newest. Behind it the older buckets that were charged, the oldest first: what
-- is charged (seven bits a byte, the lowest first), and in one byte how far it is to the next.

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

-- The older bucket that stands at this place: what is charged, how far it is to the next, where that stands.
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
