-- Marks the index as built. The mark begins with a name for all that Redis holds: it
-- stays for as long as the mark does, and a new one says that everything was lost.
-- KEYS: built. ARGV: by, a name in case there is none.
local name = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) ') or ARGV[2]
redis.call('SET', KEYS[1], name .. ' ' .. ARGV[1])
return 1
