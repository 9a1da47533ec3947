-- Makes an entry due now at the latest, adding it if it is unknown, and clears what made it wait.
-- KEYS: due, memo. ARGV: id, now in Unix ms, '1' to force.
-- A memo is a flat object of strings, booleans and small whole numbers, which cjson leaves as they are.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) > tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
end
local ok, memo = pcall(cjson.decode, redis.call('HGET', KEYS[2], ARGV[1]) or '')
if not ok or type(memo) ~= 'table' then
  memo = {}
end
memo.f, memo.r = nil, nil
if ARGV[3] == '1' then
  memo.n = true
end
redis.call('HSET', KEYS[2], ARGV[1], cjson.encode(memo))
return 1
