-- For wrk: sends `METHOD BODY` (given behind `--`) and prints what came of it as the last line, in JSON.
-- Latencies are in microseconds, as wrk counts them.

function init(args)
  wrk.method = args[1]
  wrk.body = args[2]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration": %d, "p50": %d, "p99": %d, "connect": %d, "read": %d, "write": %d, ' ..
      '"status": %d, "timeout": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.connect,
    errors.read, errors.write, errors.status, errors.timeout
  ))
end
