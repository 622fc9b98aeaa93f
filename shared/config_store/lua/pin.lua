-- Pins a version of a content, so that it stays however old it is, or lets it go with the next change.
-- Reply: 1; 0 when the version is gone, -1 when too many are pinned.
-- KEYS: versions, pinned, pinned parts. ARGV: the version, 1 to pin it, the most pinned ones, the names of its
-- parts.

local versions, pinned, pinned_parts = unpack(KEYS)
local version, wanted, most = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])

if not redis.call('ZSCORE', versions, version) then
  return 0
end
if (redis.call('SISMEMBER', pinned, version) == 1) == wanted then
  return 1
end
if wanted and redis.call('SCARD', pinned) >= most then
  return -1
end
redis.call(wanted and 'SADD' or 'SREM', pinned, version)
for at = 4, #ARGV do
  if redis.call('HINCRBY', pinned_parts, ARGV[at], wanted and 1 or -1) <= 0 then
    redis.call('HDEL', pinned_parts, ARGV[at])
  end
end
return 1
