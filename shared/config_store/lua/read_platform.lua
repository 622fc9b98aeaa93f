-- Returns what the store says about itself, and the document of the platform, read in one step.
-- KEYS: identity, revision, platform. ARGV[1]: the beginning of the keys of its documents.

local identity, revision, platform = unpack(KEYS)
local version = redis.call('HGET', platform, 'version') or ''
return {
  {redis.call('HGETALL', identity), redis.call('GET', revision) or '0'},
  redis.call('HGETALL', platform),
  redis.call('GET', ARGV[1] .. version),
}
