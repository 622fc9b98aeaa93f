-- Takes an amount from what a budget has used, and notes it in the ledger, once. Returns 1; or 0, and changes
-- nothing, when less is used: it was taken already.
-- KEYS: the budget (limits/redis/budget.lua), the ledger, the mark of this change.
-- ARGV: the amount, the row, milliseconds for which the mark stands.

if redis.call('EXISTS', KEYS[3]) == 1 then return 1 end
local amount = tonumber(ARGV[1])
if tonumber(redis.call('HGET', KEYS[1], 'used') or 0) < amount then return 0 end
redis.call('XADD', KEYS[2], '*', 'row', ARGV[2])
redis.call('SET', KEYS[3], 1, 'PX', ARGV[3])
if amount ~= 0 then redis.call('HINCRBY', KEYS[1], 'used', string.format('%.0f', 0 - amount)) end
return 1
