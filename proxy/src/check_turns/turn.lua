-- Takes the turn at asking an endpoint, or keeps it.
-- KEYS: the turn. ARGV: the proxy's name; the time that a turn lives without a word.
-- Nothing where it is this proxy's; else what the one that has it has found.
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], held or ARGV[1], 'PX', ARGV[2])
return false
