-- A sliding window: what window.rs does, for all proxies at once, by this server's clock. Times are in microseconds.
local key = KEYS[1]
local span, width, amount, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- How much more may be taken ahead, and the time within which that is used: it counts from then on as if it were taken at its end.
local ahead, life = tonumber(ARGV[5]), tonumber(ARGV[6])
local most = 256
local function text(number) return string.format('%.0f', number) end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local head = redis.call('HMGET', key, 'h', 'n', 'u', 'c')
local first, next_one = tonumber(head[1]) or now, tonumber(head[2]) or now
local used, seen = tonumber(head[3]) or 0, tonumber(head[4]) or 0
-- A clock that was set back, or a replica's that is behind, takes nothing out of the window too early.
if now < seen then now = seen end
local changed = false

local function slot(number)
  local value = redis.call('HGET', key, text(number))
  if not value then return nil end
  local from, last, count = string.match(value, '^(%d+):(%d+):(%d+)$')
  return tonumber(from), tonumber(last), tonumber(count)
end

local function put(number, from, last, count)
  redis.call('HSET', key, text(number), text(from) .. ':' .. text(last) .. ':' .. text(count))
  changed = true
end

local function charge(more, until_then)
  local from, last, count
  if next_one > first then from, last, count = slot(next_one - 1) end
  if from and (now - from < width or next_one - first >= most) then
    put(next_one - 1, from, math.max(last, until_then), count + more)
  else
    from = now
    put(next_one, now, until_then, more)
    next_one = next_one + 1
  end
  used = used + more
  return next_one - 1, from
end

while first < next_one do
  local from, last, count = slot(first)
  if from and last + span > now then break end
  redis.call('HDEL', key, text(first))
  used = used - (count or 0)
  first = first + 1
  changed = true
end
if first >= next_one or used < 0 then used = 0 end

for at = 7, #ARGV, 3 do
  local number, began, change = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if change > 0 then
    charge(change, now)
  elseif number >= first and number < next_one then
    local from, last, count = slot(number)
    if from == began then
      local less = math.min(-change, count)
      put(number, from, last, count - less)
      used = used - less
    end
  end
end

local granted, number, from, after, leased = 0, 0, 0, 0, 0
if cost > 0 then
  if used + cost <= amount then
    granted = 1
    -- Others are to find room too: the nearer the amount, the less is taken ahead.
    leased = math.min(ahead, math.floor((amount - used - cost) / 8))
    number, from = charge(cost + leased, leased > 0 and now + life or now)
  elseif cost > amount then
    after = -1
  else
    local left = used + cost - amount
    after = span
    for at = first, next_one - 1 do
      local _, last, count = slot(at)
      left = left - (count or 0)
      if left <= 0 then
        after = math.max(0, last + span - now)
        break
      end
    end
  end
end

local empty = 0
if next_one > first then
  local _, last = slot(next_one - 1)
  empty = math.max(0, (last or now) + span - now)
end
if changed then
  redis.call('HSET', key, 'h', text(first), 'n', text(next_one), 'u', text(used), 'c', text(now))
  redis.call('PEXPIRE', key, text(math.ceil(span / 1000) + 1000))
end
return {granted, used, number, from, after, empty, leased}
