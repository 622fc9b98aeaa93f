-- Adds an alert to the stream, unless the same was told of late.
-- KEYS: the stream, the mark of what is told.
-- ARGV: how many alerts are kept, milliseconds in which the same is not told again, the alert.
-- Returns the id of the entry; nothing if it was told before.

local stream, mark = unpack(KEYS)
local kept, quiet, alert = unpack(ARGV)

local was_told = redis.call('GET', mark)
-- Also when it is not told: what goes on is told again only after a pause.
redis.call('SET', mark, '1', 'PX', quiet)
if was_told then
  return false
end
return redis.call('XADD', stream, 'MAXLEN', '~', kept, '*', 'alert', alert)
