-- Adds an alert to the stream, unless the same was added of late.
-- KEYS: the stream, the mark of the alert.
-- ARGV: how many alerts are kept, milliseconds in which the same is not added again, the alert.
-- Returns the id of the entry; nothing if it was added before.

local stream, mark = unpack(KEYS)
local kept, quiet, alert = unpack(ARGV)

local is_known = redis.call('GET', mark)
-- Also when it is not added: a state that lasts is added again only after a pause.
redis.call('SET', mark, '1', 'PX', quiet)
if is_known then
  return false
end
return redis.call('XADD', stream, 'MAXLEN', '~', kept, '*', 'alert', alert)
