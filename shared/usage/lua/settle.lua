-- Appends rows to the ledger of a tenant and adds them to the sums of a day, once.
-- Reply: the bytes of the ledger, or 0 when this batch was settled before.
-- KEYS: the mark of the batch, the ledger, one hash per counter.
-- ARGV: milliseconds for which the mark stands, seconds for which the sums stand, the number of rows, the rows,
-- then per combination its field and one number per counter.

local mark, ledger = KEYS[1], KEYS[2]
local counters = #KEYS - 2

if not redis.call('SET', mark, 1, 'NX', 'PX', ARGV[1]) then
  return 0
end

local rows = tonumber(ARGV[3])
for at = 4, 3 + rows do
  local added = redis.pcall('XADD', ledger, '*', 'row', ARGV[at])
  if type(added) == 'table' and added.err then
    -- Nothing is written yet, so the batch is not settled.
    redis.call('DEL', mark)
    return added
  end
end

for at = 4 + rows, #ARGV, counters + 1 do
  for counter = 1, counters do
    local amount = ARGV[at + counter]
    if amount ~= '0' then
      -- A sum that is too large to grow stays. The check finds it.
      redis.pcall('HINCRBY', KEYS[2 + counter], ARGV[at], amount)
    end
  end
end
for counter = 1, counters do
  redis.call('EXPIRE', KEYS[2 + counter], ARGV[2])
end

-- An operator may have forbidden the first command.
local size = redis.pcall('MEMORY', 'USAGE', ledger)
return type(size) == 'number' and size or redis.call('XLEN', ledger) * 1024
