-- Returns what the store says about itself, and the document of the platform, read in one step.
-- The document is empty when the caller has it. KEYS: identity, revision, platform. ARGV: the beginning of the
-- keys of its roots, that of whole documents of an older layout, the name of the root that the caller has
-- (empty: none).

local identity, revision, platform = unpack(KEYS)
local version = redis.call('HGET', platform, 'version') or ''
local root = redis.call('HGET', platform, 'root')
local document = ''
if not root then
  document = redis.call('GET', ARGV[2] .. version)
elseif root ~= ARGV[3] then
  document = redis.call('GET', ARGV[1] .. version)
end
return {
  {redis.call('HGETALL', identity), redis.call('GET', revision) or '0'},
  redis.call('HGETALL', platform),
  document,
}
