-- Makes a budget what its rows and leases give, and notes that in the ledger. Requests go on meanwhile: what is
-- missing stays the same, because each settle adds as much to what is used as its row counts.
-- Returns 1; or 0, and changes nothing, when the budget was repaired since it was read.
-- KEYS: the ledger, then the four keys of the budget (limits/redis/budget.lua).
-- ARGV: what is missing in what is used, the number of repairs that was read, the row.

local ledger, budget, leases, amounts, lost_leases = unpack(KEYS)
if tonumber(redis.call('HGET', budget, 'repairs') or 0) ~= tonumber(ARGV[2]) then return 0 end

redis.call('XADD', ledger, '*', 'row', ARGV[3])
if redis.call('EXISTS', budget) == 0 then
  -- The next charge sets another end.
  redis.call('HSET', budget, 'used', 0)
  redis.call('EXPIRE', budget, 400 * 86400)
end
redis.call('HINCRBY', budget, 'used', ARGV[1])
redis.call('HINCRBY', budget, 'repairs', 1)

for _, lease in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  if redis.call('HEXISTS', amounts, lease) == 0 then redis.call('ZREM', leases, lease) end
end
local held, reserved = 0, redis.call('HGETALL', amounts)
for at = 1, #reserved, 2 do
  held = held + reserved[at + 1]
  -- A lease without an end has ended: the next charge counts what it reserved as used.
  if not redis.call('ZSCORE', leases, reserved[at]) then redis.call('ZADD', leases, 0, reserved[at]) end
end
local left = redis.call('PTTL', budget)
if left > 0 then redis.call('PEXPIRE', leases, left) end
redis.call('HSET', budget, 'held', string.format('%.0f', held), 'lost', redis.call('ZCARD', lost_leases))
return 1
