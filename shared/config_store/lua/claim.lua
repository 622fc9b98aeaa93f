-- Claims the name of a call. Reply: nil, or what is stored under it: another claim, or a response.
-- KEYS[1]: the name. ARGV: the claim, milliseconds that it stands.

local found = redis.call('GET', KEYS[1])
if found then
  return found
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return nil
