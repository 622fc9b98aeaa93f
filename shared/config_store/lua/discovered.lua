-- Stores the models that a provider listed, and publishes that they changed.
-- KEYS[1]: the list. ARGV: the new list as JSON, the channel, the owner of the provider.

local old = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
if not old or cjson.encode(cjson.decode(old).names) ~= cjson.encode(cjson.decode(ARGV[1]).names) then
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return 1
