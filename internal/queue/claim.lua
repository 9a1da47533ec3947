-- Hands out what is due and moves it forward, and says by whom the index was built.
-- KEYS: due, memo, built. ARGV: now and until in Unix ms, limit.
-- Returns {built by or '', id, due, memo, id, due, memo, ...}, in the order of due.
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
if #found == 0 and redis.call('EXISTS', KEYS[1]) == 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  -- An empty index has no memos: the other half of this one was evicted.
  redis.call('DEL', KEYS[2], KEYS[3])
end
local claim = {redis.call('GET', KEYS[3]) or ''}
for i = 1, #found, 2 do
  redis.call('ZADD', KEYS[1], ARGV[2], found[i])
  claim[#claim + 1] = found[i]
  claim[#claim + 1] = found[i + 1]
  claim[#claim + 1] = redis.call('HGET', KEYS[2], found[i]) or ''
end
return claim
