-- wrk ... -- PATH DIALECT: repeat 128 different requests in one of the dialects below.
local ffi = require("ffi")
local bodies, path, next_body = {}, "/predict", 0

local function point()
  return { math.random(), math.random(), math.random(), math.random() }
end

local function list(items)
  return "[" .. table.concat(items, ",") .. "]"
end

local function native()
  local x = point()
  return string.format('{"x1":%.6f,"x2":%.6f,"x3":%.6f,"x4":%.6f}', x[1], x[2], x[3], x[4])
end

local id = 0

local write = {
  native = native,
  proxied = function()  -- with what ingress-nginx adds
    id = id + 1
    wrk.headers["X-Request-ID"] = string.format("%032x", id)
    wrk.headers["X-Real-IP"] = "10.0.0.1"
    wrk.headers["X-Forwarded-For"] = "10.0.0.1"
    wrk.headers["X-Forwarded-Host"] = "gp.example.com"
    wrk.headers["X-Forwarded-Port"] = "443"
    wrk.headers["X-Forwarded-Proto"] = "https"
    wrk.headers["X-Forwarded-Scheme"] = "https"
    wrk.headers["X-Scheme"] = "https"
    return native()
  end,
  hundred = function()
    local points = {}
    for i = 1, 100 do
      points[i] = list(point())
    end
    return '{"points":' .. list(points) .. "}"
  end,
  form = function()
    wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
    return string.format("x1=%.6f&x2=%.6f&x3=%.6f&x4=%.6f", unpack(point()))
  end,
  umbridge = function()
    return '{"name":"gp","input":[' .. list(point()) .. '],"config":{}}'
  end,
  v2 = function()
    local tensor = '{"name":"x","shape":[1,4],"datatype":"FP64","data":' .. list(point()) .. "}"
    return '{"inputs":[' .. tensor .. "]}"
  end,
  v2binary = function()
    local raw = ffi.string(ffi.new("double[4]", point()), 32)
    local tensor = '{"name":"x","shape":[1,4],"datatype":"FP64","parameters":{"binary_data_size":32}}'
    local text = '{"parameters":{"binary_data_output":true},"inputs":[' .. tensor .. "]}"
    wrk.headers["Content-Type"] = "application/octet-stream"
    wrk.headers["Inference-Header-Content-Length"] = #text
    return text .. raw
  end,
}

function init(args)
  math.randomseed(1)
  path = args[1]
  wrk.headers["Content-Type"] = "application/json"
  for i = 1, 128 do
    bodies[i] = wrk.format("POST", path, nil, write[args[2]]())
  end
end

function request()
  next_body = next_body % #bodies + 1
  return bodies[next_body]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"max":%f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
