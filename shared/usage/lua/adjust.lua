-- Takes an amount from what a budget has used, and notes it in the ledger. Returns 1; or 0, and changes nothing,
-- when less is used: it was taken already.
-- KEYS: the budget (limits/redis/budget.lua), the ledger.
-- ARGV: the amount, the row.

local used = tonumber(redis.call('HGET', KEYS[1], 'used') or 0)
local amount = tonumber(ARGV[1])
if used < amount then return 0 end
-- Redis rejects this command while the memory is full. Nothing is changed then.
redis.call('XADD', KEYS[2], '*', 'row', ARGV[2])
if amount ~= 0 then redis.call('HINCRBY', KEYS[1], 'used', string.format('%.0f', 0 - amount)) end
return 1
