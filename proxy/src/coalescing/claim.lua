-- Takes the lease of a flight, or says who holds it.
-- KEYS: the lease; the flight's data, if it is ours; the mark of those who read along.
-- ARGV: our token; the time that both live; the token of a leader that is gone, whose lease may be taken; the data's first byte; the
-- time that the mark lives.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[3] then
  redis.call('SET', KEYS[3], '1', 'PX', ARGV[5])
  return held
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[2])
return false
