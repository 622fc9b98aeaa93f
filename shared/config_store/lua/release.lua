-- Gives up a claim, unless a response or another claim has replaced it.
-- KEYS[1]: the name. ARGV[1]: the claim.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
