-- Makes a process the leader of a job, or lets it stay the leader. Reply: the number of its term; 0 when another
-- process leads.
-- KEYS: the lead, the number of the newest term. ARGV: the name of the process, milliseconds that it leads.

local lead, terms = unpack(KEYS)
local found = redis.call('GET', lead)
if found then
  local leader, term = string.match(found, '^(%S+) (%d+)$')
  if leader ~= ARGV[1] then
    return 0
  end
  redis.call('PEXPIRE', lead, ARGV[2])
  return tonumber(term)
end
local term = redis.call('INCR', terms)
redis.call('SET', lead, ARGV[1] .. ' ' .. term, 'PX', ARGV[2])
return term
