-- The places that proxies have of one limit, in a hash: by each proxy's name what it holds, what it needs, and until when, in
-- milliseconds of this server's clock. What is held in sum is never more than the limit, unless a proxy comes back with more.
--
-- ARGV: name, what it keeps, what it needs, what it would have, the limit, 1 if it may be given more, how long it counts, and the
-- number of the question: one that comes after a later one says nothing.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local name, held, need = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local target, max, life = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local others, total, names, needs = 0, need, {name}, {[name] = need}
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  local who = fields[at]
  local holds, wants, ends, number = string.match(fields[at + 1], '^(%d+) (%d+) (%d+) (%d+)$')
  if who == name then
    if number and tonumber(number) >= tonumber(ARGV[8]) then return {0, 0, 0, 0} end
  else
    if not holds or tonumber(ends) <= now then
      redis.call('HDEL', KEYS[1], who)
    else
      others, total = others + tonumber(holds), total + tonumber(wants)
      names[#names + 1], needs[who] = who, tonumber(wants)
    end
  end
end
-- Where there is not one to spare for each, nobody has more than it needs.
local contended = total + #names > max
if contended then
  -- Who needs little has it; the others have equal parts of the rest. Places that can not be parted go round with the time.
  table.sort(names, function(a, b)
    if needs[a] ~= needs[b] then return needs[a] < needs[b] end
    return a < b
  end)
  local left = max
  target = need
  for at, who in ipairs(names) do
    local rest = #names - at + 1
    local part = math.floor(left / rest)
    if needs[who] > part then
      local over, turn = left % rest, math.floor(now / 250)
      for place = at, #names do
        if names[place] == name then
          target = part
          if (place - at + turn) % rest < over then target = part + 1 end
        end
      end
      break
    end
    left = left - needs[who]
  end
end
local hold = held
if ARGV[6] == '1' and target > held and others + held < max then
  hold = math.min(target, max - others)
end
if hold == 0 and need == 0 then
  redis.call('HDEL', KEYS[1], name)
else
  redis.call('HSET', KEYS[1], name, string.format('%.0f %.0f %.0f %s', hold, need, now + life, ARGV[8]))
  redis.call('PEXPIRE', KEYS[1], life)
end
return {hold, target, contended and 1 or 0, 1, others}
