-- One request on a key's two buckets: see app/access/shared_rates.py.
--
-- KEYS[1]  hash of the key: "requests" and "tokens" that are left, "at" when that was so
-- ARGV     requests a minute, tokens a minute (below zero: not limited), tokens needed, tokens to put back first
--          (below zero: owed), how many seconds ago those were put back
--
-- Gives the seconds to wait and what is left of both, as texts: numbers would lose their fractions.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local held = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'at')
local ago = math.max(0, tonumber(ARGV[5] or 0))
-- a bucket that was forgotten was full, but what is owed since is owed
local passed = held[3] and math.max(0, now - tonumber(held[3])) or ago
local late = math.min(passed, ago)

local buckets = {
  {name = 'requests', limit = tonumber(ARGV[1]), left = held[1], need = 1, back = 0},
  {name = 'tokens', limit = tonumber(ARGV[2]), left = held[2], need = tonumber(ARGV[3]), back = tonumber(ARGV[4])},
}
local wait, full = 0, 0
for _, bucket in ipairs(buckets) do
  if bucket.limit >= 0 then
    local left = tonumber(bucket.left or bucket.limit) + (passed - late) * bucket.limit / 60
    left = math.min(bucket.limit, math.min(bucket.limit, left) + bucket.back)
    bucket.left = math.min(bucket.limit, left + late * bucket.limit / 60)
    wait = math.max(wait, (bucket.need - bucket.left) * 60 / bucket.limit)
  end
end

local answer = {string.format('%.6f', wait)}
for _, bucket in ipairs(buckets) do
  if bucket.limit >= 0 then
    if wait <= 0 then bucket.left = bucket.left - bucket.need end
    full = math.max(full, (bucket.limit - bucket.left) * 60 / bucket.limit)
    local left = string.format('%.6f', bucket.left)
    redis.call('HSET', KEYS[1], bucket.name, left)
    table.insert(answer, left)
  else
    redis.call('HDEL', KEYS[1], bucket.name)
    table.insert(answer, '')
  end
end
redis.call('HSET', KEYS[1], 'at', string.format('%.6f', now))
-- a full bucket is one that nobody has used
redis.call('EXPIRE', KEYS[1], math.ceil(full) + 1)
return answer
