-- Makes workers read an owner again, whose secrets were sealed anew. Nothing else of it differs.
-- KEYS: revision, changes, deleted, resealed. ARGV: the owner, the channel.

local revision, changes, deleted, resealed = unpack(KEYS)
local owner = ARGV[1]

if redis.call('ZSCORE', changes, owner) and not redis.call('ZSCORE', deleted, owner) then
  redis.call('ZADD', changes, redis.call('INCR', revision), owner)
  redis.call('PUBLISH', ARGV[2], owner)
end
redis.call('SREM', resealed, owner)
return 1
