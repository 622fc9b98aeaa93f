-- A budget in one period. A lease that ended without a settle is lost. Four keys (values.budget_keys):
--   hash: used; held: what is reserved; lost: the number of lost leases; ends: as given with a charge;
--     repairs: how often an operator repaired it
--   sorted set: the leases that hold something, by their ends in microseconds
--   hash: what each of them reserved
--   sorted set: the lost leases, by what they reserved, which counts as used

-- Counts what a lease used in the end, in place of what it reserved. A lease that holds nothing was settled
-- before; `counts_always` counts it all the same. Returns whether it was counted.
local function settle_lease(at, lease, amount, counts_always)
  local budget, leases, amounts, lost_leases = KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  local reserved = redis.call('HGET', amounts, lease)
  local counted = redis.call('ZSCORE', lost_leases, lease)
  if reserved then
    redis.call('HDEL', amounts, lease)
    redis.call('ZREM', leases, lease)
    redis.call('HINCRBY', budget, 'held', string.format('%.0f', 0 - reserved))
  end
  if counted then
    redis.call('ZREM', lost_leases, lease)
    redis.call('HINCRBY', budget, 'lost', -1)
    amount = string.format('%.0f', amount - counted)
  end
  if not reserved and not counted then
    if not counts_always then return 0 end
    -- The next charge sets another end.
    if redis.call('EXISTS', budget) == 0 then
      redis.call('HSET', budget, 'used', 0)
      redis.call('EXPIRE', budget, 400 * 86400)
    end
  end
  redis.call('HINCRBY', budget, 'used', amount)
  return 1
end
