-- What budgets have used and hold now. Leases that ended, and that no request has looked at since, count as used.
-- KEYS: the four keys of each budget (limits/redis/budget.lua).
-- ARGV: the time in microseconds (0: that of the server).
-- Reply: for each budget what is used, held and lost.

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local reply = {}
for at = 1, #KEYS, 4 do
  local budget, leases, amounts, lost_leases = unpack(KEYS, at, at + 3)
  local used, held, lost = unpack(redis.call('HMGET', budget, 'used', 'held', 'lost'))
  used, held, lost = tonumber(used or 0), tonumber(held or 0), tonumber(lost or 0)
  for _, lease in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', string.format('%.0f', now))) do
    local reserved = tonumber(redis.call('HGET', amounts, lease) or 0)
    used, held = used + reserved, held - reserved
    if not redis.call('ZSCORE', lost_leases, lease) then lost = lost + 1 end
  end
  for _, number in ipairs({used, held, lost}) do reply[#reply + 1] = number end
end
return reply
