-- The work of the chain in bench/gateway.py, as a gateway on nginx, Lua and Redis does it: the key, the head, both
-- limits in one script, the body. Results of compiling and of look-ups are kept, and connections stay open.
local json, redis = require "cjson.safe", require "nginx.redis"

local KEY_SECONDS, WINDOW_SECONDS, MAX_BODY_BYTES = 60, 60, 1000000
local MAX_IDLE_MS, MAX_CONNECTIONS = 60000, 64
local TYPES, REQUIRED = { ["application/json"] = true }, { "model", "messages" }
local AGENTS, PATTERNS = { "badbot" }, { "ignore (all )?previous instructions" }

local Chain = {}

local function reject(status, code)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.print(json.encode({ error = { code = code } }))
  return ngx.exit(ngx.HTTP_OK)
end

-- Calls a command of Redis on a connection that is kept.
local function call(command, ...)
  local client = redis:new()
  client:set_timeout(1000)
  local ok = client:connect("unix:" .. Chain.socket)
  if not ok then return nil, "no Redis" end
  local found, problem = client[command](client, ...)
  if problem then return nil, problem end
  client:set_keepalive(MAX_IDLE_MS, MAX_CONNECTIONS)
  return found
end

-- The host of a key's tenant, remembered by this worker's neighbors, too.
local function host_of(key)
  local known = ngx.shared.keys:get(key)
  if known then return known end
  local found = call("get", "rival:key:" .. key)
  if type(found) ~= "string" then return nil end
  ngx.shared.keys:set(key, found, KEY_SECONDS)
  return found
end

local function matches(text, patterns)
  for _, pattern in ipairs(patterns) do
    if ngx.re.find(text, pattern, "joi") then return true end
  end
  return false
end

-- Each limit has a counter of this window and one of the window before, whose rest still counts.
local function take(host)
  local now = ngx.time()
  local window = math.floor(now / WINDOW_SECONDS)
  local rest = 1 - (now % WINDOW_SECONDS) / WINDOW_SECONDS
  local keys = {}
  for _, level in ipairs({ "tenant", "rule" }) do
    local counter = "rival:{" .. host .. "}:" .. level .. ":"
    keys[#keys + 1], keys[#keys + 2] = counter .. window, counter .. (window - 1)
  end
  local script = Chain.script
  local left, problem = call(
    "evalsha", script.sha, #keys, keys[1], keys[2], keys[3], keys[4], Chain.limit, rest, WINDOW_SECONDS
  )
  if problem and problem:find("NOSCRIPT", 1, true) then
    left, problem = call(
      "eval", script.text, #keys, keys[1], keys[2], keys[3], keys[4], Chain.limit, rest, WINDOW_SECONDS
    )
  end
  return left, problem, now
end

local function check_body()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body then return 400, "body_missing" end
  if #body > MAX_BODY_BYTES then return 413, "body_too_large" end
  local type_sent = ngx.var.http_content_type or ""
  if not TYPES[type_sent:match("^[^;%s]*"):lower()] then return 415, "unsupported_content_type" end
  local document = json.decode(body)
  if type(document) ~= "table" then return 400, "invalid_json" end
  for _, field in ipairs(REQUIRED) do
    if document[field] == nil then return 422, "validation_failed" end
  end
  if matches(body, PATTERNS) then return 422, "content_rejected" end
end

function Chain.access()
  local key = (ngx.var.http_authorization or ""):match("^Bearer (.+)$")
  local host = key and host_of(key)
  if not host or host ~= ngx.var.host then return reject(401, "invalid_api_key") end
  if not ngx.var.http_x_request_id then return reject(400, "header_missing") end
  if matches(ngx.var.http_user_agent or "", AGENTS) then return reject(403, "forbidden") end
  local left, problem, now = take(host)
  if problem then return reject(503, "limiter_unavailable") end
  ngx.header["RateLimit-Limit"] = Chain.limit
  ngx.header["RateLimit-Remaining"] = left
  ngx.header["RateLimit-Reset"] = WINDOW_SECONDS - now % WINDOW_SECONDS
  if left < 0 then return reject(429, "rate_limited") end
  local status, code = check_body()
  if status then return reject(status, code) end
  ngx.req.clear_header("Authorization")
end

-- Prepares a worker: the Redis at `socket`, limits of `limit`, and the text of their script.
function Chain.prepare(socket, limit, text)
  Chain.socket, Chain.limit = socket, limit
  Chain.script = { text = text, sha = Chain.sha1(text) }
end

function Chain.sha1(text)
  local digest = ngx.sha1_bin(text)
  return (digest:gsub(".", function(byte) return string.format("%02x", byte:byte()) end))
end

return Chain
