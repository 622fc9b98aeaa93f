-- What budgets, their leases and the ledger say at one moment.
-- KEYS: the ledger, then the four keys of each budget (limits/redis/budget.lua).
-- Reply: the id of the last row, or an empty text; then for each budget a list: whether it is there; what is
-- used, reserved and lost; the number of leases, of their amounts, and the sum of those; the number of lost
-- leases, and the sum of their amounts; the number of repairs.

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local reply = {last and last[1] or ''}
for at = 2, #KEYS, 4 do
  local budget, leases, amounts, lost_leases = unpack(KEYS, at, at + 3)
  local used, held, lost, repairs = unpack(redis.call('HMGET', budget, 'used', 'held', 'lost', 'repairs'))
  local reserved = redis.call('HVALS', amounts)
  local reserved_sum, lost_sum = 0, 0
  for _, amount in ipairs(reserved) do reserved_sum = reserved_sum + amount end
  local ended = redis.call('ZRANGE', lost_leases, 0, -1, 'WITHSCORES')
  for index = 2, #ended, 2 do lost_sum = lost_sum + ended[index] end
  reply[#reply + 1] = {
    redis.call('EXISTS', budget), tonumber(used or 0), tonumber(held or 0), tonumber(lost or 0),
    redis.call('ZCARD', leases), #reserved, reserved_sum, #ended / 2, lost_sum, tonumber(repairs or 0)
  }
end
return reply
