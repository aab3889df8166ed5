#!lua name=stream_ml_1
-- The functions of a shard, version 1: every change of its rows, fences and identity is one call of one of them.
--
-- KEYS, all with the shard's hash tag:
--   1 meta: format, run, replid, incarnation, version, log_from, log_ids; by partition f: (fence), e: (epoch),
--     o: (owner), b: (blob)
--   2 rows: id (8 bytes) -> z, n (float32 each)
--   3 log: version -> ids that it changed
--   4 staged rows of a restore, by its lease
-- Places (incarnations) have 20 digits, so that they compare as strings; other numbers are below 2^53.
-- An answer is {kind, run, replid, meta as a flat list, ids, rows, cursor}.

local FORMAT = '1'
local FIELDS = 3500 -- of one inner command: Lua's stack holds about 8,000
local LOG_IDS = 2000000 -- that the change log keeps; 8 bytes each

local function identity()
  local info = redis.call('INFO', 'server', 'replication')
  return string.match(info, 'run_id:(%x+)'), string.match(info, 'master_replid:(%x+)')
end

local function answer(kind, run, replid, meta, ids, rows, cursor)
  return {kind, run, replid, meta or {}, ids or '', rows or '', cursor or '0'}
end

-- Calls work(run, replid) if the shard is there and knows its server; no work is no change.
local function guarded(keys, work)
  local run, replid = identity()
  local known = redis.call('HMGET', keys[1], 'format', 'run', 'replid')
  if known[1] ~= FORMAT then
    return answer('empty', run, replid)
  end
  if known[2] ~= run or known[3] ~= replid then
    return answer('moved', run, replid)
  end
  return work(run, replid)
end

local function told(kind, keys, run, replid, ids, rows, cursor)
  return answer(kind, run, replid, redis.call('HGETALL', keys[1]), ids, rows, cursor)
end

local function fields_of(ids, first, last)
  local fields = {}
  for at = first, last do
    fields[#fields + 1] = string.sub(ids, at * 8 - 7, at * 8)
  end
  return fields
end

-- Values of packed ids, packed; an id without a row is eight zero bytes.
local function read_rows(key, ids)
  local parts, count = {}, #ids / 8
  for first = 1, count, FIELDS do
    local values = redis.call('HMGET', key, unpack(fields_of(ids, first, math.min(first + FIELDS - 1, count))))
    for at = 1, #values do
      parts[#parts + 1] = values[at] or '\0\0\0\0\0\0\0\0'
    end
  end
  return table.concat(parts)
end

local function add_rows(key, ids, deltas)
  local count, unpacked, packed = #ids / 8, struct.unpack, struct.pack
  for first = 1, count, FIELDS do
    local fields = fields_of(ids, first, math.min(first + FIELDS - 1, count))
    local values, values_, at = redis.call('HMGET', key, unpack(fields)), {}, first * 8 - 7
    for index = 1, #fields do
      local z, n = 0, 0
      if values[index] then
        z, n = unpacked('<ff', values[index])
      end
      local dz, dn = unpacked('<ff', deltas, at)
      values_[index * 2 - 1] = fields[index]
      values_[index * 2] = packed('<ff', z + dz, n + dn)
      at = at + 8
    end
    redis.call('HSET', key, unpack(values_))
  end
end

-- Appends what a version changed, and forgets the oldest versions beyond the bound.
local function log(keys, version, ids)
  local known = redis.call('HMGET', keys[1], 'log_from', 'log_ids')
  local from, held = tonumber(known[1]), tonumber(known[2]) + #ids / 8
  redis.call('HSET', keys[3], string.format('%.0f', version), ids)
  while held > LOG_IDS and from < version do
    from = from + 1
    local field = string.format('%.0f', from)
    held = held - redis.call('HSTRLEN', keys[3], field) / 8
    redis.call('HDEL', keys[3], field)
  end
  redis.call('HSET', keys[1], 'version', string.format('%.0f', version), 'log_from',
    string.format('%.0f', from), 'log_ids', string.format('%.0f', held))
end

local function look(keys)
  return guarded(keys, function(run, replid)
    return told('fences', keys, run, replid)
  end)
end

-- partition, epoch, owner: raises (epoch, owner).
local function take(keys, args)
  return guarded(keys, function(run, replid)
    local partition, epoch, owner = args[1], tonumber(args[2]), args[3]
    local known = redis.call('HMGET', keys[1], 'e:' .. partition, 'o:' .. partition)
    local held = tonumber(known[1] or '0')
    if epoch < held or (epoch == held and owner <= (known[2] or '')) then
      return told('fenced', keys, run, replid)
    end
    redis.call('HSET', keys[1], 'e:' .. partition, args[2], 'o:' .. partition, owner)
    redis.call('HSETNX', keys[1], 'f:' .. partition, '0')
    return told('taken', keys, run, replid)
  end)
end

-- ids: the rows of them.
local function pull(keys, args)
  return guarded(keys, function(run, replid)
    return answer('rows', run, replid, {}, '', read_rows(keys[2], args[1]))
  end)
end

-- partition, epoch, owner, first, next, ids, deltas, home ('1' or '0'), blob ('' is none).
local function push(keys, args)
  return guarded(keys, function(run, replid)
    local partition, first, after = args[1], tonumber(args[4]), tonumber(args[5])
    local known = redis.call('HMGET', keys[1], 'f:' .. partition, 'e:' .. partition, 'o:' .. partition, 'version')
    local fence = tonumber(known[1] or '0')
    if known[2] ~= args[2] or known[3] ~= args[3] then
      return answer('fenced', run, replid)
    end
    if after <= fence then
      return answer('duplicate', run, replid)
    end
    if first ~= fence or (args[8] == '1' and args[9] == '') then
      return answer('recut', run, replid)
    end
    if #args[6] ~= #args[7] or #args[6] % 8 ~= 0 then
      return redis.error_reply('ERR ids and deltas differ in length')
    end
    if #args[6] > 0 then
      add_rows(keys[2], args[6], args[7])
      log(keys, tonumber(known[4]) + 1, args[6])
    end
    redis.call('HSET', keys[1], 'f:' .. partition, args[5])
    if args[8] == '1' then
      redis.call('HSET', keys[1], 'b:' .. partition, args[9])
    end
    return answer('applied', run, replid)
  end)
end

-- since: every row that a later version changed, absolute.
local function changes(keys, args)
  return guarded(keys, function(run, replid)
    local known = redis.call('HMGET', keys[1], 'version', 'log_from')
    local since, version = tonumber(args[1]), tonumber(known[1])
    if since < tonumber(known[2]) or since > version then
      return told('behind', keys, run, replid)
    end
    local seen, parts = {}, {}
    for at = since + 1, version do
      local ids = redis.call('HGET', keys[3], string.format('%.0f', at)) or ''
      for index = 1, #ids / 8 do
        local id = string.sub(ids, index * 8 - 7, index * 8)
        if not seen[id] then
          seen[id] = true
          parts[#parts + 1] = id
        end
      end
    end
    local ids = table.concat(parts)
    return told('changes', keys, run, replid, ids, read_rows(keys[2], ids))
  end)
end

-- cursor, count: about so many rows from there; a row that is there all the while is in one of the pages.
local function page(keys, args)
  return guarded(keys, function(run, replid)
    local found = redis.call('HSCAN', keys[2], args[1], 'COUNT', args[2])
    local ids, rows = {}, {}
    for at = 1, #found[2], 2 do
      ids[#ids + 1] = found[2][at]
      rows[#rows + 1] = found[2][at + 1]
    end
    return told('page', keys, run, replid, table.concat(ids), table.concat(rows), found[1])
  end)
end

-- run, replid, incarnation: from now on this server answers, if it is still the one that was seen.
local function adopt(keys, args)
  local run, replid = identity()
  local known = redis.call('HMGET', keys[1], 'format', 'incarnation')
  if known[1] ~= FORMAT then
    return answer('empty', run, replid)
  end
  if args[1] ~= run or args[2] ~= replid then
    return answer('moved', run, replid)
  end
  if args[3] > known[2] then
    redis.call('HSET', keys[1], 'run', run, 'replid', replid, 'incarnation', args[3])
  end
  return told('adopted', keys, run, replid)
end

-- ids, rows: some of the rows of a restore, kept aside under its lease.
local function stage(keys, args)
  local run, replid = identity()
  local count = #args[1] / 8
  for first = 1, count, FIELDS do
    local fields, values_ = fields_of(args[1], first, math.min(first + FIELDS - 1, count)), {}
    for index = 1, #fields do
      local at = (first + index - 1) * 8
      values_[index * 2 - 1] = fields[index]
      values_[index * 2] = string.sub(args[2], at - 7, at)
    end
    redis.call('HSET', keys[4], unpack(values_))
  end
  return answer('staged', run, replid)
end

-- run, replid, incarnation, count, version, then meta fields and values: the last act of a restore.
local function restore(keys, args)
  local run, replid = identity()
  if redis.call('HEXISTS', keys[1], 'format') == 1 then
    return answer('exists', run, replid)
  end
  if args[1] ~= run or args[2] ~= replid then
    return answer('empty', run, replid)
  end
  if redis.call('HLEN', keys[4]) ~= tonumber(args[4]) then
    return answer('short', run, replid)
  end
  redis.call('DEL', keys[1], keys[2], keys[3])
  if tonumber(args[4]) > 0 then
    redis.call('RENAME', keys[4], keys[2])
  end
  for at = 6, #args, 2 do
    redis.call('HSET', keys[1], args[at], args[at + 1])
  end
  redis.call('HSET', keys[1], 'format', FORMAT, 'run', run, 'replid', replid, 'incarnation', args[3],
    'version', args[5], 'log_from', args[5], 'log_ids', '0')
  return told('restored', keys, run, replid)
end

-- Another layout is in force: nothing is taken here any more.
local function close(keys)
  return guarded(keys, function(run, replid)
    redis.call('UNLINK', keys[1], keys[2], keys[3])
    return answer('closed', run, replid)
  end)
end

local function reading(name, callback)
  redis.register_function{function_name = 'stream_ml_1_' .. name, callback = callback, flags = {'no-writes'}}
end

reading('look', look)
reading('pull', pull)
reading('changes', changes)
reading('page', page)
redis.register_function('stream_ml_1_take', take)
redis.register_function('stream_ml_1_push', push)
redis.register_function('stream_ml_1_adopt', adopt)
redis.register_function('stream_ml_1_stage', stage)
redis.register_function('stream_ml_1_restore', restore)
redis.register_function('stream_ml_1_close', close)
