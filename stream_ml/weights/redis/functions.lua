#!lua name=stream_ml_2
-- The functions of a shard, version 2: every change of its rows, fences and identity is one call of one of them.
--
-- KEYS, all with the shard's hash tag:
--   1 meta: format, run, replid, incarnation, version, log_from, log_ids, rows, count (of rows); by partition f: (fence),
--     e: (epoch), o: (owner), b: (blob). home: which Redis has the variant's rows by the journal; there before the shard is.
--   2 how the names of the rows' keys begin. A bucket of rows is one hash, named <KEYS[2]><lease>:<the upper two
--     bytes of the ids>: other six bytes of the id -> z, n (float32 each). So small that Redis packs it (up to 128
--     rows): 25 bytes a row instead of 70. meta's "rows" is the lease of the restore that made the shard.
--   3 log: version -> ids that it changed
--   4 how many rows a restore has staged
-- These keys are in one slot, so that a function may touch a bucket that was not named beforehand.
-- Places (incarnations) have 20 digits, so that they compare as strings; other numbers are below 2^53.
-- An answer is {kind, run, replid, meta as a flat list, ids, rows, cursor}.

local FORMAT = '1'
local FIELDS = 3500 -- of one inner command: Lua's stack holds about 8,000
local ZEROS = '\0\0\0\0\0\0\0\0'
local BUCKETS = 65536
local VISITS = 16384 -- of buckets by one page
local CHANGES = 100000 -- ids of one answer, before its last version
local LOG_IDS = 2000000 -- that the change log keeps; 8 bytes each

local function identity()
  local info = redis.call('INFO', 'server', 'replication', 'memory')
  return string.match(info, 'run_id:(%x+)'), string.match(info, 'master_replid:(%x+)'),
    string.match(info, 'maxmemory_policy:(%S+)') ~= 'noeviction'
end

local function answer(kind, run, replid, meta, ids, rows, cursor)
  return {kind, run, replid, meta or {}, ids or '', rows or '', cursor or '0'}
end

-- Calls work(run, replid) if the shard is there and knows its server, and that evicts nothing; no work is no change.
local function guarded(keys, work)
  local run, replid, evicts = identity()
  if evicts then
    return answer('evicts', run, replid)
  end
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

local function prefix(keys, lease)
  return keys[2] .. lease .. ':'
end

-- The byte after the ids that are in one bucket with the one at *at*, and the key of the bucket.
local function run_of(names, ids, at)
  local byte, sub, size = string.byte, string.sub, #ids
  local low_of_run, high_of_run = byte(ids, at + 6, at + 7)
  local after, most = at + 8, at + FIELDS * 8
  while after <= size and after < most do
    local low, high = byte(ids, after + 6, after + 7)
    if low ~= low_of_run or high ~= high_of_run then
      break
    end
    after = after + 8
  end
  return after, names .. sub(ids, at + 6, at + 7)
end

local function fields_of(ids, at, after)
  local sub, fields, count = string.sub, {}, 0
  for index = at, after - 8, 8 do
    count = count + 1
    fields[count] = sub(ids, index, index + 5)
  end
  return fields
end

-- Calls visit(bucket's key, first byte, fields) for each run of ids of one bucket.
local function each_run(names, ids, visit)
  local at, size = 1, #ids
  while at <= size do
    local after, bucket = run_of(names, ids, at)
    visit(bucket, at, fields_of(ids, at, after))
    at = after
  end
end

-- Values of packed ids, packed; an id without a row is eight zero bytes.
local function read_rows(names, ids)
  local call, sub, parts, count, at, size = redis.call, string.sub, {}, 0, 1, #ids
  while at <= size do
    local after, bucket = run_of(names, ids, at)
    if after == at + 8 then
      count = count + 1
      parts[count] = call('HGET', bucket, sub(ids, at, at + 5)) or ZEROS
    else
      local values = call('HMGET', bucket, unpack(fields_of(ids, at, after)))
      for index = 1, (after - at) / 8 do
        parts[count + index] = values[index] or ZEROS
      end
      count = count + (after - at) / 8
    end
    at = after
  end
  return table.concat(parts)
end

-- Returns how many of them are new.
local function add_rows(names, ids, deltas)
  local call, sub, unpacked, packed = redis.call, string.sub, struct.unpack, struct.pack
  local new, at, size = 0, 1, #ids

  local function added(value, from)
    if not value then
      return sub(deltas, from, from + 7)
    end
    local z, n = unpacked('<ff', value)
    local dz, dn = unpacked('<ff', deltas, from)
    return packed('<ff', z + dz, n + dn)
  end

  while at <= size do
    local after, bucket = run_of(names, ids, at)
    if after == at + 8 then
      local field = sub(ids, at, at + 5)
      new = new + call('HSET', bucket, field, added(call('HGET', bucket, field), at))
    else
      local fields, changed = fields_of(ids, at, after), {}
      local values = call('HMGET', bucket, unpack(fields))
      for index = 1, #fields do
        changed[index * 2 - 1] = fields[index]
        changed[index * 2] = added(values[index], at + (index - 1) * 8)
      end
      new = new + call('HSET', bucket, unpack(changed))
    end
    at = after
  end
  return new
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

-- Tells what is there also where it takes nothing. As probe it is one of those that write: refused where they are.
local function look(keys)
  local run, replid, evicts = identity()
  local known = redis.call('HMGET', keys[1], 'format', 'run', 'replid')
  local kind = known[1] ~= FORMAT and 'empty' or (known[2] ~= run or known[3] ~= replid) and 'moved' or 'fences'
  if evicts then
    kind = 'evicts'
  end
  return told(kind, keys, run, replid)
end

-- home: of the shard that is to be restored here.
local function settle(keys, args)
  local run, replid = identity()
  if redis.call('HEXISTS', keys[1], 'format') == 1 then
    return told('exists', keys, run, replid)
  end
  redis.call('HSET', keys[1], 'home', args[1])
  return told('settled', keys, run, replid)
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
    local names = prefix(keys, redis.call('HGET', keys[1], 'rows'))
    return answer('rows', run, replid, {}, '', read_rows(names, args[1]))
  end)
end

-- partition, epoch, owner, first, next, ids, deltas, home ('1' or '0'), blob ('' is none).
local function push(keys, args)
  return guarded(keys, function(run, replid)
    local partition, first, after = args[1], tonumber(args[4]), tonumber(args[5])
    local known = redis.call('HMGET', keys[1], 'f:' .. partition, 'e:' .. partition, 'o:' .. partition,
      'version', 'rows')
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
      local new = add_rows(prefix(keys, known[5]), args[6], args[7])
      redis.call('HINCRBY', keys[1], 'count', new)
      log(keys, tonumber(known[4]) + 1, args[6])
    end
    redis.call('HSET', keys[1], 'f:' .. partition, args[5])
    if args[8] == '1' then
      redis.call('HSET', keys[1], 'b:' .. partition, args[9])
    end
    return answer('applied', run, replid)
  end)
end

-- since: every row that a later version changed, absolute; up to the version that is the answer's cursor.
local function changes(keys, args)
  return guarded(keys, function(run, replid)
    local known = redis.call('HMGET', keys[1], 'version', 'log_from', 'rows')
    local since, version = tonumber(args[1]), tonumber(known[1])
    if since < tonumber(known[2]) or since > version then
      return told('behind', keys, run, replid)
    end
    local names = prefix(keys, known[3])
    if since + 1 == version then
      local ids = redis.call('HGET', keys[3], known[1]) or ''
      return told('changes', keys, run, replid, ids, read_rows(names, ids), known[1])
    end
    local seen, parts, reached = {}, {}, since
    while reached < version and #parts < CHANGES do
      reached = reached + 1
      local ids = redis.call('HGET', keys[3], string.format('%.0f', reached)) or ''
      for index = 1, #ids / 8 do
        local id = string.sub(ids, index * 8 - 7, index * 8)
        if not seen[id] then
          seen[id] = true
          parts[#parts + 1] = id
        end
      end
    end
    local ids = table.concat(parts)
    return told('changes', keys, run, replid, ids, read_rows(names, ids), string.format('%.0f', reached))
  end)
end

-- cursor, count: the rows of whole buckets from there, until they are so many. The answer's ids are the upper two bytes
-- and the number of rows (four bytes) of each bucket, its rows the lower six bytes of the id and the values, of each row.
local function page(keys, args)
  return guarded(keys, function(run, replid)
    local names = prefix(keys, redis.call('HGET', keys[1], 'rows'))
    local ids, rows, bucket, left = {}, {}, tonumber(args[1]), tonumber(args[2])
    local stop = math.min(bucket + VISITS, BUCKETS)
    while bucket < stop and left > 0 do
      local upper = struct.pack('<H', bucket)
      local found = redis.call('HGETALL', names .. upper)
      if #found > 0 then
        ids[#ids + 1] = upper .. struct.pack('<I4', #found / 2)
        rows[#rows + 1] = table.concat(found)
        left = left - #found / 2
      end
      bucket = bucket + 1
    end
    local cursor = bucket < BUCKETS and bucket or 0
    return told('page', keys, run, replid, table.concat(ids), table.concat(rows), string.format('%.0f', cursor))
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

-- lease, ids, rows: some of the rows of a restore, where nobody looks before its last act. Once that is done they are
-- the shard's own, which a call that was caught in a socket must not touch.
local function stage(keys, args)
  local run, replid = identity()
  if redis.call('HEXISTS', keys[1], 'format') == 1 then
    return answer('exists', run, replid)
  end
  local added = 0
  each_run(prefix(keys, args[1]), args[2], function(bucket, at, fields)
    local values = {}
    for index = 1, #fields do
      values[index * 2 - 1] = fields[index]
      values[index * 2] = string.sub(args[3], at + index * 8 - 8, at + index * 8 - 1)
    end
    added = added + redis.call('HSET', bucket, unpack(values))
  end)
  redis.call('INCRBY', keys[4], added)
  return answer('staged', run, replid)
end

local function remove_rows(names)
  for bucket = 0, BUCKETS - 1 do
    redis.call('UNLINK', names .. struct.pack('<H', bucket))
  end
end

-- lease: its restore is given up. Looks at every bucket: tens of milliseconds.
local function unstage(keys, args)
  local run, replid = identity()
  if redis.call('HGET', keys[1], 'rows') == args[1] then
    return answer('exists', run, replid)
  end
  redis.call('UNLINK', keys[4])
  remove_rows(prefix(keys, args[1]))
  return answer('unstaged', run, replid)
end

-- run, replid, incarnation, count, version, lease, then meta fields and values: the last act of a restore.
local function restore(keys, args)
  local run, replid = identity()
  if redis.call('HEXISTS', keys[1], 'format') == 1 then
    return answer('exists', run, replid)
  end
  if args[1] ~= run or args[2] ~= replid then
    return answer('empty', run, replid)
  end
  if tonumber(redis.call('GET', keys[4]) or '0') ~= tonumber(args[4]) then
    return answer('short', run, replid)
  end
  redis.call('DEL', keys[1], keys[3], keys[4])
  for at = 7, #args, 2 do
    redis.call('HSET', keys[1], args[at], args[at + 1])
  end
  redis.call('HSET', keys[1], 'format', FORMAT, 'run', run, 'replid', replid, 'incarnation', args[3],
    'version', args[5], 'log_from', args[5], 'log_ids', '0', 'rows', args[6], 'count', args[4])
  return told('restored', keys, run, replid)
end

-- Another layout is in force: nothing is taken here any more. Looks at every bucket: tens of milliseconds.
local function close(keys)
  return guarded(keys, function(run, replid)
    local names = prefix(keys, redis.call('HGET', keys[1], 'rows'))
    redis.call('UNLINK', keys[1], keys[3])
    remove_rows(names)
    return answer('closed', run, replid)
  end)
end

local function reading(name, callback)
  redis.register_function{function_name = 'stream_ml_2_' .. name, callback = callback, flags = {'no-writes'}}
end

-- What only frees memory is taken also where there is none left.
local function freeing(name, callback)
  redis.register_function{function_name = 'stream_ml_2_' .. name, callback = callback, flags = {'allow-oom'}}
end

reading('look', look)
reading('pull', pull)
reading('changes', changes)
reading('page', page)
redis.register_function('stream_ml_2_probe', look)
redis.register_function('stream_ml_2_settle', settle)
redis.register_function('stream_ml_2_take', take)
redis.register_function('stream_ml_2_push', push)
redis.register_function('stream_ml_2_adopt', adopt)
redis.register_function('stream_ml_2_stage', stage)
redis.register_function('stream_ml_2_restore', restore)
freeing('unstage', unstage)
freeing('close', close)
