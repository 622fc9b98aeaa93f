-- Adds figures to one or more hashes.
-- KEYS: the hashes. ARGV: seconds until an unused hash expires, then each figure and its amount.
for _, key in ipairs(KEYS) do
  for at = 2, #ARGV, 2 do
    redis.call('HINCRBY', key, ARGV[at], ARGV[at + 1])
  end
  redis.call('EXPIRE', key, ARGV[1])
end
