-- Claims the right to count something, unless somebody counts it now or it was counted to its end.
-- KEYS: the mark. ARGV: the word for what is counted now; the one for what was counted to its end; the time that the claim lives.
-- Says until where it was counted before.
local mark = redis.call('GET', KEYS[1])
if mark == ARGV[1] or mark == ARGV[2] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return mark or '0'
