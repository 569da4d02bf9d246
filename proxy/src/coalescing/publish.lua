-- Tells more of a flight, renews its lease, or gives it up.
-- KEYS: the lease; the flight's data; the mark of those who read along.
-- ARGV: our token; the time that both live from now on; the place in the data of the bytes that follow; these bytes; what becomes of
-- the lease: `hold`, `yield` (who comes now leads another flight), `leave` (all is over, unless somebody reads along), `abandon`;
-- with `leave`, how many microseconds ago the answer ended, or nothing: who came after that does not count, and nobody joins. The way
-- of this word to Redis is not in that time: 10 ms are allowed for it.
-- Who reads along with what is given up, or came too late, finds one byte that no data begins with: without it, data that is gone is
-- data that Redis has lost, which its leader may tell again.
-- Answers the data's length, which is 0 when it has lapsed and somebody else leads by now, and whether somebody reads along.
local length = redis.call('STRLEN', KEYS[2])
if length == 0 then return {0, 0} end
local place, bytes, word, ended = tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[6])
local mark = redis.call('GET', KEYS[3])
local is_read = mark
if mark and word == 'leave' and ended then
  local clock = redis.call('TIME')
  local ended_at = tonumber(clock[1]) * 1000000 + tonumber(clock[2]) - ended - 10000
  if (tonumber(mark) or 0) >= ended_at then mark = false end
end
local watched = mark and 1 or 0
-- Told twice, it is there once.
if length >= place and length < place + #bytes then
  length = redis.call('APPEND', KEYS[2], string.sub(bytes, length - place + 1))
end
local is_ours = redis.call('GET', KEYS[1]) == ARGV[1]
if word == 'abandon' or (word == 'leave' and watched == 0) then
  redis.call('DEL', KEYS[2], KEYS[3])
  if is_read then redis.call('SET', KEYS[2], '\0', 'PX', 3000) end
  if is_ours then redis.call('DEL', KEYS[1]) end
  return {length, watched}
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if is_ours then
  local closed = word == 'yield' or (word == 'leave' and ended)
  if closed then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return {length, watched}
