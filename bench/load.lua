-- For wrk: POSTs the body (given behind `--`) and prints the result as the last line, in JSON.
-- Latencies are in microseconds, as wrk counts them.

function init(args)
  wrk.method = "POST"
  wrk.body = args[1]
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
