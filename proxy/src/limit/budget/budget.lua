-- What was spent of a budget within a period, for all proxies at once, by this server's clock.
--
-- KEYS[1] is a hash: `u` all that is spent or reserved, `r` the part of it that is reserved, `a` the number of thresholds that were told of, `w…` the last batch that a
-- worker has told, with its time. KEYS[2] holds the open reservations by their deadlines. Sums are texts of whole numbers: what
-- Lua counts is exact up to 53 bits only, and Redis adds in 64.
local sums, open = KEYS[1], KEYS[2]
local start, finish, thresholds = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local room, cost, call, lease = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local worker, number, before = 'w' .. ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function text(value) return string.format('%.0f', value) end

-- True if one whole number is at most another; neither is negative.
local function fits(one, other) return #one < #other or (#one == #other and one <= other) end

local function spent()
  local sum = redis.call('HGET', sums, 'u') or '0'
  if string.sub(sum, 1, 1) == '-' then return '0' end
  return sum
end

-- Adds to the sum. False: it would be more than Redis counts, and is as it was.
local function add(number)
  local answer = redis.pcall('HINCRBY', sums, 'u', number)
  if type(answer) ~= 'table' then return true end
  if not string.find(answer.err, 'overflow', 1, true) then error(answer.err) end
  return false
end

-- Reserves. What is more than Redis counts does not stand: its call is booked at its end by what it used.
local function reserve(number, of, deadline)
  if add(number) then
    redis.call('ZADD', open, text(deadline), of)
    redis.call('HINCRBY', sums, 'r', number)
  end
end

-- Books what was used, or the most that Redis counts.
local function book(number)
  if not add(number) then redis.call('HSET', sums, 'u', '9223372036854775807') end
end

-- Whoever reserved this is gone: it stays spent.
local expired = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', text(now), 'LIMIT', 0, 128)) do
  redis.call('ZREM', open, member)
  expired = expired + 1
end

local applied = tonumber(string.match(redis.call('HGET', sums, worker) or '0', '^%d+'))
local done, late = 0, 0
if number > 0 and applied == number then
  done = 1
elseif number > 0 and ((before == 0 and applied < number) or (before > 0 and applied == before)) then
  for at = 11, #ARGV, 5 do
    local kind, of, reserved, used, deadline = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
    if kind == 'R' then
      if not redis.call('ZSCORE', open, of) then
        reserve(reserved, of, now + deadline)
      end
    elseif redis.call('ZREM', open, of) == 1 then
      if reserved ~= '0' then
        add('-' .. reserved)
        redis.call('HINCRBY', sums, 'r', '-' .. reserved)
      end
      book(used)
    elseif deadline == 0 or now <= deadline then
      -- It was reserved with a master that is gone.
      book(used)
    else
      late = late + 1
    end
  end
  if applied == 0 and redis.call('HLEN', sums) > 512 then
    local all = redis.call('HGETALL', sums)
    for at = 1, #all, 2 do
      local seen = string.match(all[at + 1], '^%d+:(%d+)$')
      if string.sub(all[at], 1, 1) == 'w' and seen and tonumber(seen) < now - 3600000 then
        redis.call('HDEL', sums, all[at])
      end
    end
  end
  redis.call('HSET', sums, worker, text(number) .. ':' .. text(now))
  done = 1
end

local granted = 0
if call ~= '' then
  if now < start * 1000 or (finish > 0 and now >= finish * 1000) then
    granted = -1
  elseif redis.call('ZSCORE', open, call) then
    granted = 1
  elseif room == '*' or (room ~= '' and fits(spent(), room)) then
    reserve(cost, call, now + lease)
    granted = 1
  end
end

local sum = spent()
local told, crossed = tonumber(redis.call('HGET', sums, 'a') or '0'), 0
if thresholds ~= '' then
  -- What is reserved is not spent yet. What was reserved by those that are gone is, and nobody knows how much of it that was: it
  -- counts once nothing else is open. Beyond 53 bits a threshold is not exact while anything is.
  local reserved = redis.call('HGET', sums, 'r') or '0'
  if reserved ~= '0' and redis.call('ZCARD', open) == 0 then
    redis.call('HSET', sums, 'r', '0')
    reserved = '0'
  end
  local used = sum
  if reserved ~= '0' then used = text(math.max(0, tonumber(sum) - math.max(0, tonumber(reserved)))) end
  -- A call that what is spent leaves no room for: all of it is as good as spent.
  local is_over = granted == 0 and call ~= '' and room ~= '' and room ~= '*' and not fits(used, room)
  local number = 0
  for threshold, whole in string.gmatch(thresholds, '(%d+)(!?)') do
    number = number + 1
    if fits(threshold, used) or (is_over and whole == '!') then crossed = number end
  end
  if crossed > told then redis.call('HSET', sums, 'a', crossed) end
end
if finish > 0 then
  local at = text((finish + 86400) * 1000)
  redis.call('PEXPIREAT', sums, at)
  redis.call('PEXPIREAT', open, at)
end
return {granted, sum, now, done, applied, expired, late, told, crossed, tonumber(clock[1]) * 1000000 + tonumber(clock[2])}
