-- Settles leases of one budget that used nothing.
--
-- KEYS: those of the budget (budget.lua).
-- ARGV: the leases.

for _, lease in ipairs(ARGV) do settle_lease(1, lease, '0', false) end
return 1
