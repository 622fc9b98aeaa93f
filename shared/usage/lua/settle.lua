-- Appends rows to the ledger of a tenant, adds them to the sums of a day, and settles what requests reserved in
-- budgets, once.
-- Reply: the bytes of the ledger, or 0 when this batch was settled before; then what each budget has used.
-- KEYS: the mark of the batch, the ledger, one hash per counter, then the four keys of each budget (budget.lua).
-- ARGV: milliseconds for which the mark stands, seconds for which the sums stand, the numbers of counters, of
-- rows and of leases; the rows; per lease the number of its budget from 0 on, its name, what it used, and 1 to
-- count it also when nothing is reserved; then per combination its field and one number per counter.

local mark, ledger = KEYS[1], KEYS[2]
local counters, rows, leases = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local first_row = 6
local first_lease = first_row + rows
local first_sum = first_lease + 4 * leases

if not redis.call('SET', mark, 1, 'NX', 'PX', ARGV[1]) then
  return {0}
end

for at = first_row, first_lease - 1 do
  local added = redis.pcall('XADD', ledger, '*', 'row', ARGV[at])
  if type(added) == 'table' and added.err then
    -- Nothing is written yet, so the batch is not settled.
    redis.call('DEL', mark)
    return added
  end
end

for at = first_lease, first_sum - 1, 4 do
  local budget, lease, amount, counts_always = unpack(ARGV, at, at + 3)
  -- A key that holds something else stays. The check finds it.
  pcall(settle_lease, 3 + counters + 4 * budget, lease, amount, counts_always == '1')
end

for at = first_sum, #ARGV, counters + 1 do
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
local reply = {type(size) == 'number' and size or redis.call('XLEN', ledger) * 1024}
for at = 3 + counters, #KEYS, 4 do
  local used = redis.pcall('HGET', KEYS[at], 'used')
  reply[#reply + 1] = type(used) == 'string' and tonumber(used) or 0
end
return reply
