-- Drops the oldest versions of an owner above the bounds, as a change does. After versions.lua.
-- KEYS: versions, notes, sizes, dropped, pinned, pinned parts. ARGV: the beginnings of the keys of roots and of
-- parts, how many versions and how many bytes stay.

local owner = owner_of(KEYS, 1, ARGV[1], ARGV[2])
if redis.call('EXISTS', owner.versions) == 1 then
  drop_old_versions(owner, tonumber(ARGV[3]), tonumber(ARGV[4]))
end
return 1
