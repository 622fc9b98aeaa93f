-- Gives up a claim, or replaces it by the response of its call, unless another claim has replaced it. With a
-- response, after versions.lua.
-- KEYS[1]: the name. ARGV: the claim; the response as `finish_call` takes it, if there is one.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  if ARGV[2] then
    local claim = cjson.decode(ARGV[2])
    redis.call('SET', KEYS[1], claim.result, 'PX', claim.kept_ms)
    count_call(KEYS[1], claim)
  else
    redis.call('DEL', KEYS[1])
  end
end
return 1
