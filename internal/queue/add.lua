-- Adds the entries that are not known yet and returns how many those were.
-- KEYS: due, memo. ARGV: id, due in Unix ms, memo, id, due, memo, ...
local added = 0
for i = 1, #ARGV, 3 do
  if redis.call('ZADD', KEYS[1], 'NX', ARGV[i + 1], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
    added = added + 1
  end
end
return added
