-- The same three limits in Redis, as people write them: requests a minute by two weighted fixed
-- windows, tokens by a bucket, calls in flight by a counter. One call, one answer, all or nothing.
-- KEYS: the window, the bucket, the counter. ARGV: rpm, tpm, slots, this call's tokens.
local rpm, tpm, slots = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tokens = tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local minute = math.floor(now / 60000)

local window = redis.call('HMGET', KEYS[1], 'minute', 'this', 'last')
local this, last = tonumber(window[2] or 0), tonumber(window[3] or 0)
local behind = minute - tonumber(window[1] or 0)
if behind == 1 then
  this, last = 0, this
elseif behind > 1 then
  this, last = 0, 0
end
if last * (1 - (now % 60000) / 60000) + this + 1 > rpm then
  return 'rpm'
end

local bucket = redis.call('HMGET', KEYS[2], 'level', 'at')
local level = math.min(tpm, tonumber(bucket[1] or tpm) + (now - tonumber(bucket[2] or now)) * tpm / 60000)
if level < tokens then
  return 'tpm'
end

if tonumber(redis.call('GET', KEYS[3]) or 0) + 1 > slots then
  return 'concurrency'
end

redis.call('HSET', KEYS[1], 'minute', minute, 'this', this + 1, 'last', last)
redis.call('HSET', KEYS[2], 'level', level - tokens, 'at', now)
redis.call('INCR', KEYS[3])
return 'granted'
