-- Appends new request records to a stream as one entry, and removes the oldest entries.
-- KEYS: the stream, and what is known of its last record. ARGV: the least number of records that are kept, seconds
-- until an unused stream expires, the number of new records, their events and their traces, each a line.
-- Without traces the last one is empty.
local number = redis.call('HINCRBY', KEYS[2], 'number', ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('HGET', KEYS[2], 'milliseconds')
if last then -- the clock may have been set back
  now = math.max(now, tonumber(last))
end
redis.call('HSET', KEYS[2], 'milliseconds', string.format('%.0f', now))
local id = string.format('%.0f-%.0f', now, number)
if ARGV[5] == '' then
  redis.call('XADD', KEYS[1], id, 'events', ARGV[4])
else
  redis.call('XADD', KEYS[1], id, 'events', ARGV[4], 'traces', ARGV[5])
end
for _ = 1, 100 do
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
  if number - tonumber(string.match(oldest, '%d+$')) < tonumber(ARGV[1]) then
    break
  end
  redis.call('XDEL', KEYS[1], oldest)
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return number
