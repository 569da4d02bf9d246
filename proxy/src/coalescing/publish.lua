-- Tells more of a flight, renews its lease, or gives it up.
-- KEYS: the lease; the flight's data; the mark of those who read along.
-- ARGV: our token; the time that both live from now on; the place in the data of the bytes that follow; these bytes; what becomes of
-- the lease: `hold`, `yield` (who comes now leads another flight), `leave` (all is over, unless somebody reads along), `abandon`.
-- Answers the data's length, which is 0 when it has lapsed and somebody else leads by now, and whether somebody reads along.
local length = redis.call('STRLEN', KEYS[2])
if length == 0 then return {0, 0} end
local watched = redis.call('EXISTS', KEYS[3])
local place, bytes, word = tonumber(ARGV[3]), ARGV[4], ARGV[5]
-- Told twice, it is there once.
if length >= place and length < place + #bytes then
  length = redis.call('APPEND', KEYS[2], string.sub(bytes, length - place + 1))
end
local is_ours = redis.call('GET', KEYS[1]) == ARGV[1]
if word == 'abandon' or (word == 'leave' and watched == 0) then
  redis.call('DEL', KEYS[2])
  if is_ours then redis.call('DEL', KEYS[1]) end
  return {length, watched}
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if is_ours then
  if word == 'yield' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return {length, watched}
