-- Makes this store the true one, although it is not the one that was served last.
-- KEYS: identity. ARGV: a new identity, the identity that it replaces and its generation (empty: none), ids of
-- the pepper and of the encryption keys (empty: those of the store stay).

local identity = KEYS[1]
if redis.call('EXISTS', identity) == 0 then
  redis.call('HSET', identity, 'id', ARGV[1], 'generation', 1)
end
if ARGV[2] ~= '' then
  local generation = tonumber(redis.call('HGET', identity, 'generation'))
  if redis.call('HGET', identity, 'id') == ARGV[2] then
    redis.call('HSET', identity, 'generation', math.max(generation, tonumber(ARGV[3])) + 1)
  else
    redis.call('HSET', identity, 'replaces:' .. ARGV[2], ARGV[3])
  end
end
if ARGV[4] ~= '' then
  redis.call('HSET', identity, 'pepper', ARGV[4], 'keys', ARGV[5])
end
return 1
