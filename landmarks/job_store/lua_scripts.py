"""Lua scripts that change several keys of Redis atomically.

Times are those of Redis, in milliseconds, so that the clocks of workers need not agree. They are
shown, and nothing is decided by them alone, as that clock may be set too: the value of a lease
changes whenever it is renewed, and a worker that sees it unchanged for long enough, by its own
clock, may take it.
"""

from __future__ import annotations

# How long an ended job, its counts and its dead letters are kept.
KEEP_ENDED_SECONDS = 30 * 24 * 3600

_COMMON = f"""
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function changed(job)
  redis.call('HSET', 'landmarks:job:' .. job, 'updated', now())
  redis.call('PUBLISH', 'landmarks:changes', job)
end
local function ended(job)
  local state = redis.call('HGET', 'landmarks:job:' .. job, 'state')
  return not state or state == 'succeeded' or state == 'failed' or state == 'cancelled'
end
local function all_keys(job)
  local key, keys = 'landmarks:job:' .. job, {{}}
  for _, suffix in ipairs(
      {{'', ':chunks', ':sizes', ':again', ':open', ':tokens', ':attempts', ':dead',
        ':dead_photos'}}) do
    table.insert(keys, key .. suffix)
  end
  local request = redis.call('HGET', key, 'request')
  if request and request ~= '' then table.insert(keys, 'landmarks:request:' .. request) end
  return keys
end
local function finish(job, state, problem)
  local key = 'landmarks:job:' .. job
  redis.call('HSET', key, 'state', state, 'error', problem)
  local outcome = redis.call('HGET', key, 'outcome') or ''
  if string.sub(outcome, 1, 7) == 'waiting' then redis.call('HSET', key, 'outcome', '') end
  redis.call('SREM', 'landmarks:active', job)
  if state == 'succeeded' then
    redis.call('DEL', key .. ':chunks', key .. ':sizes', key .. ':open')
    redis.call('DEL', key .. ':tokens', key .. ':attempts', key .. ':again')
  end
  -- It may be resumed later; results of work that runs now must not count then.
  for _, field in ipairs(redis.call('HKEYS', key .. ':tokens')) do
    redis.call('HINCRBY', key .. ':tokens', field, 1)
    redis.call('HDEL', 'landmarks:held', job .. '/' .. field)
  end
  for _, each in ipairs(all_keys(job)) do redis.call('EXPIRE', each, {KEEP_ENDED_SECONDS}) end
  changed(job)
end
local function resume(job, models)
  local key = 'landmarks:job:' .. job
  for _, each in ipairs(all_keys(job)) do redis.call('PERSIST', each) end
  redis.call('HSET', key, 'state', 'queued', 'error', '', 'outcome', '')
  redis.call('SADD', 'landmarks:active', job)
  redis.call('DEL', key .. ':attempts')
  for _, model in ipairs(models) do
    redis.call('HDEL', key, 'cancelled:' .. model)
    -- The time in between does not count as time of work.
    local first = redis.call('HGET', key, 'first:' .. model)
    local last = redis.call('HGET', key, 'last:' .. model)
    if first and last then
      redis.call('HINCRBY', key, 'first:' .. model, now() - last)
      redis.call('HSET', key, 'last:' .. model, now())
    end
  end
  changed(job)
end
local function keep_chunk(job, packed, entries, again)
  local key = 'landmarks:job:' .. job
  -- Never reuse a number: a worker from then might take the chunk for its own.
  local number = redis.call('HINCRBY', key, 'chunks', 1) - 1
  redis.call('HSET', key .. ':chunks', number, packed)
  redis.call('HSET', key .. ':sizes', number, entries)
  if again then redis.call('SADD', key .. ':again', number) end
  return number
end
local function finish_if_done(job)
  local key = 'landmarks:job:' .. job
  if redis.call('HGET', key, 'listing_complete') ~= '1' or ended(job)
      or redis.call('SCARD', key .. ':open') > 0 then
    return ''
  end
  local after = redis.call('HGET', key, 'after') or ''
  if after == '' then
    finish(job, 'succeeded', '')
  else
    redis.call('HDEL', key, 'after')
    redis.call('SADD', key .. ':open', after)
  end
  return after
end
local function disown(job, field)
  local key = 'landmarks:job:' .. job
  redis.call('HDEL', 'landmarks:held', job .. '/' .. field)
  redis.call('HDEL', key .. ':tokens', field)
  redis.call('HDEL', key .. ':attempts', field)
end
local function renew(job, field, milliseconds)
  local renewals = redis.call('INCR', 'landmarks:renewals')
  local expiry = string.format('%.0f', now() + milliseconds)
  local value = renewals .. ':' .. milliseconds .. ':' .. expiry
  redis.call('HSET', 'landmarks:held', job .. '/' .. field, value)
end
-- A number above all earlier ones. It begins at the time, in case Redis has lost the last ones, and
-- `seen` is one that may be later than both.
local function next_generation(seen)
  local last = tonumber(redis.call('GET', 'landmarks:generation') or 0)
  local number = string.format('%.0f', math.max(last + 1, tonumber(seen) + 1, now()))
  redis.call('SET', 'landmarks:generation', number)
  return number
end
local function owns(job, field, token)
  return redis.call('HGET', 'landmarks:job:' .. job .. ':tokens', field) == token
end
"""

# job, request, spec → the id of the job that exists now
CREATE = (
    _COMMON
    + """
local job, request, spec = ARGV[1], ARGV[2], ARGV[3]
if request ~= '' then
  local earlier = redis.call('GET', 'landmarks:request:' .. request)
  if earlier and redis.call('EXISTS', 'landmarks:job:' .. earlier) == 1 then return earlier end
  redis.call('SET', 'landmarks:request:' .. request, job)
end
local key = 'landmarks:job:' .. job
if redis.call('EXISTS', key) == 1 then return job end
redis.call('HSET', key, 'spec', spec, 'state', 'queued', 'request', request, 'created', now())
redis.call('ZADD', 'landmarks:jobs', now(), job)
redis.call('SADD', 'landmarks:active', job)
changed(job)
return job
"""
)

# job, field, lease's milliseconds → {token, attempts}; token 0: held by another; -1: not open
BEGIN = (
    _COMMON
    + """
local job, field, milliseconds = ARGV[1], ARGV[2], ARGV[3]
local key, member = 'landmarks:job:' .. job, job .. '/' .. field
local open
if field == 'listing' then
  open = redis.call('HGET', key, 'listing_complete') ~= '1'
else
  open = redis.call('SISMEMBER', key .. ':open', field) == 1
end
if ended(job) or not open then
  redis.call('HDEL', 'landmarks:held', member)
  return {-1, 0}
end
if redis.call('HEXISTS', 'landmarks:held', member) == 1 then return {0, 0} end
renew(job, field, milliseconds)
local token = redis.call('HINCRBY', key .. ':tokens', field, 1)
local attempts = redis.call('HGET', key .. ':attempts', field) or 0
if field ~= 'listing' then
  redis.call('HSETNX', key, 'first:' .. string.match(field, '^[^/]+'), now())
end
if redis.call('HGET', key, 'state') == 'queued' then
  redis.call('HSET', key, 'state', 'running')
  changed(job)
end
return {token, tonumber(attempts) + 1}
"""
)

# job, field, token → 1, or 0 if the lease was lost
ATTEMPT = (
    _COMMON
    + """
local job, field, token = ARGV[1], ARGV[2], ARGV[3]
if ended(job) or not owns(job, field, token) then return 0 end
redis.call('HINCRBY', 'landmarks:job:' .. job .. ':attempts', field, 1)
return 1
"""
)

# An expired lease that no other worker took may still be extended: the token decides.
# job, field, token, milliseconds, 1 if an outage is the reason → 1, or 0 if the lease was lost
EXTEND = (
    _COMMON
    + """
local job, field, token = ARGV[1], ARGV[2], ARGV[3]
if not owns(job, field, token) then return 0 end
renew(job, field, ARGV[4])
if ARGV[5] == '1' then
  redis.call('HINCRBY', 'landmarks:job:' .. job .. ':attempts', field, -1)
end
return 1
"""
)

# job, token of the listing, packed chunk, how many entries, models… → the chunk's number, or -1
ADD_CHUNK = (
    _COMMON
    + """
local job, token, packed, entries = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = 'landmarks:job:' .. job
if ended(job) or not owns(job, 'listing', token) then return -1 end
local number = keep_chunk(job, packed, entries, false)
for i = 5, #ARGV do redis.call('SADD', key .. ':open', ARGV[i] .. '/' .. number) end
redis.call('HINCRBY', key, 'listed', entries)
changed(job)
return number
"""
)

# job, token of the listing, what is due after all else, further work… → the former if it is due
# now, or '-' if the lease was lost
END_LISTING = (
    _COMMON
    + """
local job, token = ARGV[1], ARGV[2]
if ended(job) or not owns(job, 'listing', token) then return '-' end
redis.call('HSET', 'landmarks:job:' .. job, 'listing_complete', 1, 'after', ARGV[3])
for i = 4, #ARGV do redis.call('SADD', 'landmarks:job:' .. job .. ':open', ARGV[i]) end
disown(job, 'listing')
changed(job)
return finish_if_done(job)
"""
)

# job, field, token, model, stored, unchanged, duplicate, encoded, pruned, letters…
# → as END_LISTING; '-' also if it was done already
END_CHUNK = (
    _COMMON
    + """
local job, field, token, model = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = 'landmarks:job:' .. job
if ended(job) or not owns(job, field, token) then return '-' end
if redis.call('SREM', key .. ':open', field) == 0 then return '-' end
disown(job, field)
redis.call('HINCRBY', key, 'stored:' .. model, ARGV[5])
redis.call('HINCRBY', key, 'unchanged:' .. model, ARGV[6])
redis.call('HINCRBY', key, 'duplicate:' .. model, ARGV[7])
redis.call('HINCRBY', key, 'encoded:' .. model, ARGV[8])
redis.call('HINCRBY', key, 'pruned:' .. model, ARGV[9])
redis.call('HINCRBY', key, 'dead:' .. model, #ARGV - 9)
for i = 10, #ARGV do
  redis.call('RPUSH', key .. ':dead', ARGV[i])
  -- The same photo may be dead for several models. Where its letter cannot be read, it is one more.
  local read, letter = pcall(cjson.decode, ARGV[i])
  local photo = read and (letter.source or '') .. '/' .. letter.entry.path or ARGV[i]
  redis.call('SADD', key .. ':dead_photos', photo)
end
if #ARGV > 9 then
  redis.call('HSET', key, 'dead_photos', redis.call('SCARD', key .. ':dead_photos'))
end
redis.call('HSET', key, 'last:' .. model, now())
changed(job)
return finish_if_done(job)
"""
)

# job, field, token, model, then for each chunk: packed, entries → the chunks' numbers; none if the
# lease was lost. The field is due again after them.
ADD_BEFORE = (
    _COMMON
    + """
local job, field, token, model = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key, numbers = 'landmarks:job:' .. job, {}
if ended(job) or not owns(job, field, token) then return numbers end
for i = 5, #ARGV, 2 do
  local number = keep_chunk(job, ARGV[i], ARGV[i + 1], false)
  redis.call('SADD', key .. ':open', model .. '/' .. number)
  redis.call('HINCRBY', key, 'listed', ARGV[i + 1])
  table.insert(numbers, number)
end
redis.call('HSET', key, 'after', field)
redis.call('SREM', key .. ':open', field)
redis.call('HDEL', 'landmarks:held', job .. '/' .. field)
redis.call('HDEL', key .. ':attempts', field)
-- The token stays and grows, as the field will be open again.
redis.call('HINCRBY', key .. ':tokens', field, 1)
changed(job)
return numbers
"""
)

# job, field, token, model, then for each part: packed chunk, entries → the parts' numbers; none
# if the job has ended, or the lease was lost
SPLIT = (
    _COMMON
    + """
local job, field, token, model = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key, numbers = 'landmarks:job:' .. job, {}
if ended(job) or not owns(job, field, token) then return numbers end
if redis.call('SREM', key .. ':open', field) == 0 then return numbers end
disown(job, field)
for i = 5, #ARGV, 2 do
  local number = keep_chunk(job, ARGV[i], ARGV[i + 1], true)
  redis.call('SADD', key .. ':open', model .. '/' .. number)
  -- Each part is as suspect as the whole.
  redis.call('HSET', key .. ':attempts', model .. '/' .. number, 1)
  table.insert(numbers, number)
end
return numbers
"""
)

# job, reason
FAIL = (
    _COMMON
    + """
if not ended(ARGV[1]) then finish(ARGV[1], 'failed', ARGV[2]) end
return 1
"""
)

# job, words → 1; a job that has ended stays as it is
SET_OUTCOME = (
    _COMMON
    + """
local job, words = ARGV[1], ARGV[2]
local key = 'landmarks:job:' .. job
if ended(job) or redis.call('HGET', key, 'outcome') == words then return 1 end
redis.call('HSET', key, 'outcome', words)
changed(job)
return 1
"""
)

# job → 1; a job that has ended stays as it is
CANCEL = (
    _COMMON
    + """
local job = ARGV[1]
local key = 'landmarks:job:' .. job
if ended(job) then return 1 end
for _, field in ipairs(redis.call('SMEMBERS', key .. ':open')) do
  local model, number = string.match(field, '^([^/]+)/(.+)$')
  local entries = redis.call('HGET', key .. ':sizes', number) or 0  -- pruning has none
  redis.call('HINCRBY', key, 'cancelled:' .. model, entries)
end
finish(job, 'cancelled', '')
return 1
"""
)

# job, models… → 1 if it was resumed, 0 if there was nothing to resume
RESUME = (
    _COMMON
    + """
local job, models = ARGV[1], {}
local state = redis.call('HGET', 'landmarks:job:' .. job, 'state')
if state ~= 'cancelled' and state ~= 'failed' then return 0 end
for i = 2, #ARGV do table.insert(models, ARGV[i]) end
resume(job, models)
finish_if_done(job)
return 1
"""
)

# job, how many dead letters it has, what is due after them, then for each chunk of them: model,
# packed chunk, entries
# → 1, or 0 if it has other dead letters by now
RETRY = (
    _COMMON
    + """
local job, models = ARGV[1], {}
local key = 'landmarks:job:' .. job
if redis.call('LLEN', key .. ':dead') ~= tonumber(ARGV[2]) then return 0 end
local state = redis.call('HGET', key, 'state')
if state == 'failed' or state == 'cancelled' then return 0 end
if ARGV[3] ~= '' and redis.call('SISMEMBER', key .. ':open', ARGV[3]) == 0 then
  redis.call('HSET', key, 'after', ARGV[3])
end
for i = 4, #ARGV, 3 do
  local model, packed, entries = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  redis.call('SADD', key .. ':open', model .. '/' .. keep_chunk(job, packed, entries, true))
  redis.call('HINCRBY', key, 'dead:' .. model, -entries)
  table.insert(models, model)
end
redis.call('DEL', key .. ':dead', key .. ':dead_photos')
redis.call('HSET', key, 'dead_photos', 0)
if ended(job) then resume(job, models) end
changed(job)
return 1
"""
)

# pairs of a lease and its value → the leases that had this value still, and which nobody holds now
TAKE_EXPIRED = """
local taken = {}
for i = 1, #ARGV, 2 do
  if redis.call('HGET', 'landmarks:held', ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', 'landmarks:held', ARGV[i])
    table.insert(taken, ARGV[i])
  end
end
return taken
"""

# → of each lease: its name, its value, 1 if it is past its time by the clock of Redis
HELD = (
    _COMMON
    + """
local found, pairs = {}, redis.call('HGETALL', 'landmarks:held')
for i = 1, #pairs, 2 do
  local expiry = tonumber(string.match(pairs[i + 1], '%d+$'))
  table.insert(found, pairs[i])
  table.insert(found, pairs[i + 1])
  table.insert(found, expiry < now() and 1 or 0)
end
return found
"""
)

# job, field, token → 1 if that lease is held
HOLDS = (
    _COMMON
    + """
local job, field, token = ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('HEXISTS', 'landmarks:held', job .. '/' .. field) == 1
return (held and not ended(job) and owns(job, field, token)) and 1 or 0
"""
)

# a number → a higher one, and higher than any before
GENERATION = (
    _COMMON
    + """
return next_generation(ARGV[1])
"""
)

# collection, name, header, ids of 16 bytes each, a number, 1 if no other write may be to these ids,
# then the names of writes that it takes the place of → its generation: above the number, and above
# any before; or 0 if there is such another
BEGIN_WRITE = (
    _COMMON
    + """
local collection, name, header, ids = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key, own, replaced = 'landmarks:writes:' .. collection, {}, {[name] = true}
for i = 7, #ARGV do replaced[ARGV[i]] = true end
if ARGV[6] == '1' then
  for i = 1, #ids, 16 do own[string.sub(ids, i, i + 15)] = true end
  local found = redis.call('HGETALL', key)
  for i = 1, #found, 2 do
    local record = found[i + 1]
    local _, before = string.find(record, '^[^\\n]*\\n[^\\n]*\\n')
    for at = before + 1, replaced[found[i]] and 0 or #record, 16 do
      if own[string.sub(record, at, at + 15)] then return 0 end
    end
  end
end
local generation = next_generation(ARGV[5])
for i = 7, #ARGV do redis.call('HDEL', key, ARGV[i]) end
redis.call('HSET', key, name, generation .. '\\n' .. header .. '\\n' .. ids)
redis.call('SADD', 'landmarks:writes', collection)
return generation
"""
)

# collection, names of writes
CLOSE_WRITES = """
local key = 'landmarks:writes:' .. ARGV[1]
for i = 2, #ARGV do redis.call('HDEL', key, ARGV[i]) end
if redis.call('EXISTS', key) == 0 then redis.call('SREM', 'landmarks:writes', ARGV[1]) end
return 1
"""

# job, gallery/source, its splits, 1 if the listing counts for others → the listing's generation
BEGIN_LISTING = (
    _COMMON
    + """
local key, listings = 'landmarks:job:' .. ARGV[1], 'landmarks:listings:' .. ARGV[2]
local generation = redis.call('HGET', key, 'listing')
if not generation then
  generation = next_generation(0)
  redis.call('HSET', key, 'listing', generation)
end
local latest = redis.call('HGET', listings, ARGV[3]) or 0
if ARGV[4] == '1' and tonumber(latest) < tonumber(generation) then
  redis.call('HSET', listings, ARGV[3], generation)
end
return generation
"""
)
