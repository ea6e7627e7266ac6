/**
 * What is done in Redis in one step. A script is alone while it runs, but what it has written stays when a later command of it fails; so each looks at
 * everything first, and writes what may be refused (memory, disk, role) before what may not.
 *
 * The log is one stream. The ID of an entry is its sequence number, "12-0"; its fields are always id, prev (the id of the entry before), parts and data, in this order; data is the content in base64, or, of an entry in parts, what their keys
 * begin with.
 * The log ends where the stream ends, so there is no second record of the head that could contradict it. The stream's last entry is never trimmed; should the
 * stream be lost all the same (evicted, deleted by hand), the log ends at the snapshot.
 */
import { createHash } from "node:crypto";

export interface Script {
  readonly text: string;
}

const shas = new WeakMap<Script, string>();

/** What EVALSHA takes. */
export function shaOf(script: Script): string {
  const sha = shas.get(script) ?? createHash("sha1").update(script.text).digest("hex");
  shas.set(script, sha);
  return sha;
}

const script = (...parts: string[]): Script => ({ text: parts.join("\n") });

/** KEYS[1] is the log, KEYS[2] the snapshot's pointer, KEYS[3] this writer's fence. */
const HEAD = `
local function at(sequence) return string.format('%.0f-0', sequence) end
local function entry(sequence) return redis.call('XRANGE', KEYS[1], at(sequence), at(sequence))[1] end
local function head()
  local sequence, id = 0, ''
  local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  if last then sequence, id = tonumber(string.match(last[1], '^%d+')), last[2][2] end
  local snapshot = redis.call('HMGET', KEYS[2], 'sequence', 'id')
  if snapshot[1] and tonumber(snapshot[1]) > sequence then sequence, id = tonumber(snapshot[1]), snapshot[2] end
  return sequence, id
end`;

/**
 * A write whose answer did not come may still lie in a buffer on its way. Once the fence stands at its number it is refused, so that whoever has read the log
 * after that knows that it was not, and will not be, appended. A day is longer than any buffer keeps it.
 */
const FENCE = `
local function fenced(attempt)
  local fence = redis.call('GET', KEYS[3])
  return fence and tonumber(fence) >= tonumber(attempt)
end
local function raise(attempt)
  if tonumber(attempt) > 0 and not fenced(attempt) then redis.call('SET', KEYS[3], attempt, 'PX', 86400000) end
end`;

/** KEYS[4...]: the staged parts. ARGV: sequence and id of the place before, id, attempt, parts, data. */
export const APPEND = script(
  HEAD,
  FENCE,
  `
if fenced(ARGV[4]) then return 'fenced' end
local sequence, id = head()
if sequence ~= tonumber(ARGV[1]) or id ~= ARGV[2] then return 'behind' end
for i = 4, #KEYS do if redis.call('EXISTS', KEYS[i]) == 0 then return 'unstaged' end end
redis.call('XADD', KEYS[1], at(sequence + 1), 'id', ARGV[3], 'prev', id, 'parts', ARGV[5], 'data', ARGV[6])
for i = 4, #KEYS do redis.call('PERSIST', KEYS[i]) end
return 'appended'`,
);

/** What became of a write whose answer was lost, which is fenced off. ARGV: sequence and id of the place before, id, attempt. */
export const SETTLE = script(
  HEAD,
  FENCE,
  `
raise(ARGV[4])
local found = entry(tonumber(ARGV[1]) + 1)
if found and found[2][2] == ARGV[3] then return 'appended' end
if found then return 'behind' end
local sequence, id = head()
if sequence == tonumber(ARGV[1]) and id == ARGV[2] then return 'absent' end
return 'unknown'`,
);

/** How the log stands to a reader's place. ARGV: its sequence and id, attempts to fence off. */
export const CHECK = script(
  HEAD,
  FENCE,
  `
raise(ARGV[3])
local sequence, id = head()
local place = tonumber(ARGV[1])
if sequence == 0 and place > 0 then return {'empty', sequence, id} end
if sequence < place then return {'back', sequence, id} end
if sequence == place then return {id == ARGV[2] and 'at' or 'parted', sequence, id} end
local next = entry(place + 1)
if not next then return {'trimmed', sequence, id} end
return {next[2][4] == ARGV[2] and 'more' or 'parted', sequence, id}`,
);

/** Ten minutes: whoever is reading parts that have just been replaced can finish. */
const GO = `
local function go(prefix, parts) for i = 0, tonumber(parts) - 1 do redis.call('PEXPIRE', prefix .. ':' .. i, 600000) end end`;

/**
 * KEYS[3...]: the staged parts. ARGV: sequence, id, what their keys begin with, their number. A place that the log does not hold belongs to another history; only
 * an empty log takes any, and goes on from there.
 */
export const PUT_SNAPSHOT = script(
  HEAD,
  GO,
  `
local sequence = tonumber(ARGV[1])
local old = redis.call('HMGET', KEYS[2], 'sequence', 'id', 'prefix', 'parts')
if old[1] and tonumber(old[1]) > sequence then return 'older' end
local last, lastId = head()
local own = (last == sequence and lastId == ARGV[2]) or (last == 0 and not old[1]) or sequence == 0
if not own then
  local found = entry(sequence)
  own = (found and found[2][2] == ARGV[2]) or (old[1] == ARGV[1] and old[2] == ARGV[2])
end
if not own then return 'parted' end
for i = 3, #KEYS do if redis.call('EXISTS', KEYS[i]) == 0 then return 'unstaged' end end
redis.call('HSET', KEYS[2], 'sequence', ARGV[1], 'id', ARGV[2], 'prefix', ARGV[3], 'parts', ARGV[4])
for i = 3, #KEYS do redis.call('PERSIST', KEYS[i]) end
if old[3] then go(old[3], old[4]) end
return 'put'`,
);

/** ARGV: the last sequence to drop, at most so many at a time. @returns how many were dropped */
export const TRIM = script(
  HEAD,
  GO,
  `
local through = math.min(tonumber(ARGV[1]), head() - 1, tonumber(redis.call('HGET', KEYS[2], 'sequence') or 0))
if through < 1 then return 0 end
local entries = redis.call('XRANGE', KEYS[1], '-', at(through), 'COUNT', ARGV[2])
if #entries == 0 then return 0 end
for _, one in ipairs(entries) do if one[2][6] ~= '0' then go(one[2][8], one[2][6]) end end
redis.call('XTRIM', KEYS[1], 'MINID', at(tonumber(string.match(entries[#entries][1], '^%d+')) + 1))
return #entries`,
);

/** Writes as an append does. KEYS[1] is a key for that alone. */
export const PROBE = script(`return redis.call('SET', KEYS[1], '1', 'PX', 60000)`);

/**
 * KEYS of the board: cards (hash, name to text), versions (sorted set, name to the version of its last change; also of names that are gone), until (sorted set, name to
 * milliseconds), count (hash: version, and base, when it began to count), wake (a stream of one entry, new with each change). All of it goes when nobody has posted for a
 * day.
 */
const BOARD = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local changed = false
local function bump(name)
  local version = redis.call('HINCRBY', KEYS[4], 'version', 1)
  if version == 1 then redis.call('HSET', KEYS[4], 'base', time[1] .. '.' .. time[2]) end
  redis.call('ZADD', KEYS[2], version, name)
  changed = true
end
local function remove(name)
  redis.call('ZREM', KEYS[3], name)
  if redis.call('HDEL', KEYS[1], name) == 1 then bump(name) end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do remove(name) end
local function done(ttl)
  if changed then redis.call('XADD', KEYS[5], 'MAXLEN', 1, '*', 'changed', '1') end
  if changed or ttl > 0 then for i = 1, #KEYS do redis.call('PEXPIRE', KEYS[i], 86400000 + ttl) end end
end`;

/** ARGV: name, text, milliseconds. */
export const POST = script(
  BOARD,
  `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  bump(ARGV[1])
end
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), ARGV[1])
done(tonumber(ARGV[3]))
return 'posted'`,
);

/** ARGV: name. */
export const WITHDRAW = script(
  BOARD,
  `
remove(ARGV[1])
done(0)
return 'withdrawn'`,
);

/** ARGV: version and base last read, "" for all. @returns version, base, ID in wake, "all" or "changes", then names, each with its text or nil */
export const READ_BOARD = script(
  BOARD,
  `
done(0)
local count = redis.call('HMGET', KEYS[4], 'version', 'base')
local version, base = tonumber(count[1] or 0), count[2] or 'none'
local since = tonumber(ARGV[1])
local all = base ~= ARGV[2] or since > version
local names = all and redis.call('HKEYS', KEYS[1]) or redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf')
local last = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
local answer = {version, base, last and last[1] or '0-0', all and 'all' or 'changes'}
for _, name in ipairs(names) do
  answer[#answer + 1] = name
  answer[#answer + 1] = redis.call('HGET', KEYS[1], name)
end
return answer`,
);
