-- One report of one process on one backend, and what it may start: see app/llm/limits/exchange.py.
--
-- KEYS[1]  hash of the backend: "all" for what is common, "p:<process>" for each process's last report
-- ARGV[1]  JSON: process, maximum, requests_per_minute, tokens_per_minute, lease, settle, patience, burst, and
--          the report. ARGV are trusted: they come from this program alone.
--
-- A process's report holds for `lease` seconds, so what a dead one had under way comes back by itself; what it
-- wanted is set aside for `patience` seconds only. Nothing is granted within `settle` seconds after the hash
-- was empty: processes may be at work that have not been heard yet.
local ask = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local mine = 'p:' .. ask.process

local all, reports, stored = nil, {}, redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local value = cjson.decode(stored[i + 1])
  if stored[i] == 'all' then
    all = value
  elseif stored[i] == mine or value.heard + ask.lease > now then
    reports[stored[i]] = value
  else
    redis.call('HDEL', KEYS[1], stored[i])
  end
end
all = all or {born = now, at = now, height = ask.maximum, window = 0, turn = 0, requests = 0, tokens = 0}

-- the common ceiling
for _ = 1, ask.answered do
  if all.height >= ask.maximum then break end
  all.height = all.height + 1 / all.height
end
if ask.limited_in == all.window then
  all.window = all.window + 1
  all.height = all.height / 2
end
all.height = math.max(1, math.min(all.height, ask.maximum))

-- the rates: what was used leaks away
local passed = math.max(0, now - all.at)
local levels = {}
for name, per_minute in pairs({requests = ask.requests_per_minute, tokens = ask.tokens_per_minute}) do
  local rate = per_minute / 60
  all[name] = math.max(0, math.max(0, all[name] - passed * rate) + ask[name])
  levels[name] = {level = all[name], rate = rate, capacity = math.max(1, rate * ask.burst)}
end
all.at = now

local function wait_for(need)
  local wait = 0
  for name, bucket in pairs(levels) do
    local room = math.max(0, bucket.capacity - need[name])
    if bucket.level - room > 1e-6 then wait = math.max(wait, (bucket.level - room) / bucket.rate) end
  end
  return wait
end

-- who is here: the new report takes the place of the old one, but keeps when its jobs had their turns
local old = reports[mine] and reports[mine].jobs or {}
reports[mine] = {heard = now, serving = ask.serving, jobs = {}}
for job, demand in pairs(ask.demands) do
  reports[mine].jobs[job] = {
    running = demand.running, wanted = demand.wanted, turn = old[job] and old[job].turn or 0
  }
end

local busy, processes, running, lines = 0, 0, {}, {}
for process, report in pairs(reports) do
  processes = processes + 1
  busy = busy + report.serving
  for job, has in pairs(report.jobs) do
    busy = busy + has.running
    running[job] = (running[job] or 0) + has.running
    if #has.wanted > 0 and report.heard + ask.patience > now then
      lines[#lines + 1] = {job = job, has = has, own = process == mine, next = 1, turn = has.turn}
    end
  end
end

-- whose turn it is: fewest under way, then served least recently; the names only settle a draw
local function before(one, other)
  if running[one.job] ~= running[other.job] then return running[one.job] < running[other.job] end
  if one.turn ~= other.turn then return one.turn < other.turn end
  if one.job ~= other.job then return one.job < other.job end
  return one.own and not other.own
end

local grants, wait, settling = {}, 0, now - all.born < ask.settle
local turn = all.turn
for _ = busy + 1, settling and 0 or math.floor(all.height) do
  local chosen = nil
  for _, line in ipairs(lines) do
    if line.next <= #line.has.wanted and (not chosen or before(line, chosen)) then chosen = line end
  end
  if not chosen then break end
  local need = {requests = 1, tokens = chosen.has.wanted[chosen.next]}
  wait = wait_for(need)
  if wait > 0 then break end
  -- a place for another process's job is kept free until that asks for it
  for name, bucket in pairs(levels) do
    bucket.level = bucket.level + need[name]
    if chosen.own then all[name] = all[name] + need[name] end
  end
  turn = turn + 1
  chosen.turn = turn
  chosen.next = chosen.next + 1
  running[chosen.job] = running[chosen.job] + 1
  if chosen.own then
    all.turn = turn
    chosen.has.turn = turn
    grants[chosen.job] = (grants[chosen.job] or 0) + 1
  end
end

for job, granted in pairs(grants) do
  local has, left = reports[mine].jobs[job], {}
  for i = granted + 1, #has.wanted do left[#left + 1] = has.wanted[i] end
  has.running, has.wanted = has.running + granted, left
end

redis.call('HSET', KEYS[1], 'all', cjson.encode(all))
if next(reports[mine].jobs) or ask.serving > 0 then
  redis.call('HSET', KEYS[1], mine, cjson.encode(reports[mine]))
else
  redis.call('HDEL', KEYS[1], mine)
end
redis.call('EXPIRE', KEYS[1], ask.keep)
return cjson.encode({
  grants = grants, height = all.height, window = all.window, processes = processes, wait = wait,
  settling = settling
})
