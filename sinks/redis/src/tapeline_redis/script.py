"""The one write of the streams sink, run by Redis as a whole or not at all.

Positions have more digits than a Lua number holds, so they are compared as text.
"""

STORE = """
local field, expected, position, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local cursors, owners = KEYS[1], KEYS[2]

local function above(one, other)
  local a, b = string.match(one, '^(%d+)-(%d+)$')
  local c, d = string.match(other, '^(%d+)-(%d+)$')
  if #a ~= #c then return #a > #c end
  if a ~= c then return a > c end
  if #b ~= #d then return #b > #d end
  return b > d
end

local function newest(key)
  local about = redis.call('XINFO', 'STREAM', key)
  for at = 1, #about, 2 do
    if about[at] == 'last-generated-id' then return about[at + 1] end
  end
end

local found = redis.call('HGET', cursors, field) or ''
if found ~= expected then return {'cursor', found} end

-- Everything is looked at before anything is written.
local first = {}
for at = 5, #ARGV, 3 do
  local key = tonumber(ARGV[at])
  if not first[key] then first[key] = ARGV[at + 1] end
end
local taken = {}
for key = 3, #KEYS do
  local kind = redis.call('TYPE', KEYS[key]).ok
  if kind ~= 'none' and kind ~= 'stream' then return {'kind', KEYS[key], kind} end
  local owner = redis.call('HGET', owners, KEYS[key])
  if owner ~= field then
    if kind == 'stream' and not above(first[key], newest(KEYS[key])) then
      return {'owner', KEYS[key], owner or ''}
    end
    taken[#taken + 1] = key
  end
end

for _, key in ipairs(taken) do redis.call('HSET', owners, KEYS[key], field) end
local repeated = 0
for at = 5, #ARGV, 3 do
  local key, id, data = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2]
  local reply
  if kept == '0' then
    reply = redis.pcall('XADD', key, id, 'data', data)
  else
    reply = redis.pcall('XADD', key, 'MAXLEN', '~', kept, id, 'data', data)
  end
  if type(reply) == 'table' and reply.err then
    if not string.find(reply.err, 'equal or smaller', 1, true) then return reply end
    repeated = repeated + 1
  end
end
redis.call('HSET', cursors, field, position)
return {'stored', repeated}
"""
"""``KEYS``: cursors, owners, then streams. ``ARGV``: cursor's field, cursor as known,
cursor as it will be, entries kept in a stream, then number of a stream, id and data of
each entry.

Answers: ``stored`` and how many entries were there before; ``cursor`` and what it is;
``kind`` or ``owner``, a stream and who has it.
"""
