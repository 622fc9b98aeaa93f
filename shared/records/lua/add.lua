-- Appends request records to a stream, and trims it.
-- KEYS: the stream. ARGV: about the most records, seconds until an unused stream expires, then per record its
-- event and its trace. An empty trace is left out.
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'event', ARGV[at])
  else
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'event', ARGV[at], 'trace', ARGV[at + 1])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return (#ARGV - 2) / 2
