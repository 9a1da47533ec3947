-- Puts an entry back after work, unless it was removed meanwhile.
-- KEYS: due, memo. ARGV: id, due and until in Unix ms (until '' for: whatever happened meanwhile),
-- the memo, the same memo with forced set.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then
  return 0
end
local due, memo = ARGV[2], ARGV[4]
if ARGV[3] ~= '' and tonumber(score) < tonumber(ARGV[3]) then
  -- Somebody expedited it: the earlier time stands, and so does the request.
  if tonumber(score) < tonumber(due) then
    due = score
  end
  local ok, stored = pcall(cjson.decode, redis.call('HGET', KEYS[2], ARGV[1]) or '')
  if ok and type(stored) == 'table' and stored.n == true then
    memo = ARGV[5]
  end
end
redis.call('ZADD', KEYS[1], due, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], memo)
return 1
