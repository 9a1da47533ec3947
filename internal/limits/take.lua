-- Takes a turn, or a place to come back for. Times are in Unix microseconds, which a number here holds exactly.
-- KEYS: rate, holders.
-- ARGV: now, interval (0: any rate), tolerance, slot (0: none), grace, soon,
--       concurrency (0: any), holder, hold, retry.
-- Returns {1, now} for a turn, {0, time} for a place.
local now, interval, slot = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local concurrency, hold = tonumber(ARGV[7]), tonumber(ARGV[9])

if interval > 0 then
  local even = tonumber(redis.call('GET', KEYS[1]) or '0')
  if slot > now and slot <= math.max(even, now + tonumber(ARGV[6])) then
    return {0, slot} -- too early; the place stands
  end
  if slot == 0 or slot > now or now - slot >= tonumber(ARGV[5]) then
    even = math.max(even, now)
    local at = even - tonumber(ARGV[3])
    even = even + interval
    -- A minute more than needed, for a replica whose clock is late.
    redis.call('SET', KEYS[1], even, 'PX', math.ceil((even - now) / 1000) + 60000)
    if at > now then
      return {0, at}
    end
  end
end

if concurrency > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[8]) -- the same request once more, because its answer was lost
  if redis.call('ZCARD', KEYS[2]) >= concurrency then
    return {0, now + tonumber(ARGV[10])}
  end
  redis.call('ZADD', KEYS[2], now + hold, ARGV[8])
  local longest = math.ceil(hold / 1000) + 60000
  if redis.call('PTTL', KEYS[2]) < longest then
    redis.call('PEXPIRE', KEYS[2], longest)
  end
end
return {1, now}
