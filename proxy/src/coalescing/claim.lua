-- Takes the lease of a flight, or says who holds it.
-- KEYS: the lease; the flight's data, if it is ours; the mark of those who read along with us; the place, if one is to be looked at, where
-- the answer may be kept by now: then nothing is taken.
-- ARGV: our token; the time that both live; the token of a leader that is gone, whose lease may be taken; the data's first byte; the
-- time that a mark lives; the token of a flight of the same proxy, whose lease may be taken too: nobody there could join it any more. A
-- mark is the time of the first who read along; all keys lie in the lease's slot.
if KEYS[4] and redis.call('EXISTS', KEYS[4]) == 1 then return 'kept' end
local held, gone = redis.call('GET', KEYS[1]), ARGV[3]
if gone ~= '' then
  -- Who read along with that one reads along with whoever went on in its place, also when that has ended by now.
  local heir = redis.call('GET', KEYS[1] .. ':' .. gone .. ':heir')
  if heir and redis.call('EXISTS', KEYS[1] .. ':' .. heir) == 1 then return heir end
end
if held and held ~= gone and held ~= ARGV[6] then
  local mark, clock = KEYS[1] .. ':' .. held .. ':watched', redis.call('TIME')
  local now = string.format('%.0f', tonumber(clock[1]) * 1000000 + tonumber(clock[2]))
  if not redis.call('SET', mark, now, 'PX', ARGV[5], 'NX') then redis.call('PEXPIRE', mark, ARGV[5]) end
  return held
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[2])
if gone ~= '' and redis.call('EXISTS', KEYS[1] .. ':' .. gone .. ':watched') == 1 then
  redis.call('SET', KEYS[1] .. ':' .. gone .. ':heir', ARGV[1], 'PX', ARGV[5])
  redis.call('SET', KEYS[3], '0', 'PX', ARGV[5])
end
return false
