// The formats a third time, from docs/spec alone, in plain JavaScript with WebCrypto: what a browser would run.
// u64 and u128 are BigInt. A refusal is a `Refused` with the code of the specification.

export class Refused extends Error {
  constructor(code, text) {
    super(`${code}: ${text}`);
    this.code = code;
  }
}

const refuse = (code, text) => {
  throw new Refused(code, text);
};

export const hex = (bytes) => "0x" + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

export const unhex = (text) => {
  if (!/^0x([0-9a-f]{2})*$/.test(text)) throw new Error(`no hex: ${text.slice(0, 20)}`);
  const bytes = new Uint8Array((text.length - 2) / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 + 2 * i, 4 + 2 * i), 16);
  return bytes;
};

export const concat = (...parts) => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
const isZero = (bytes) => bytes.every((byte) => byte === 0);
const ZERO = new Uint8Array(32);

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

// --- tree ------------------------------------------------------------------------------------------------------

export const leafHash = (leaf) => sha256(concat(Uint8Array.of(0), leaf));
export const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

export const root = async (hashes) => {
  if (hashes.length === 0) return sha256(new Uint8Array(0));
  let level = hashes;
  while (level.length > 1) {
    const next = [];
    for (let i = 0; i + 1 < level.length; i += 2) next.push(await nodeHash(level[i], level[i + 1]));
    if (level.length % 2) next.push(level[level.length - 1]);
    level = next;
  }
  return level[0];
};

const LEAVES_MAX = 2n ** 32n;
const PROOF_HASHES_MAX = 32;

// RFC 9162 section 2.1.3.2
export const checkInclusion = async (hash, index, count, siblings, wanted) => {
  if (count > LEAVES_MAX || index >= count) refuse("proof_index", `${index} of ${count}`);
  if (siblings.length > PROOF_HASHES_MAX) refuse("proof_long", `${siblings.length} siblings`);
  let [fn, sn, r] = [index, count - 1n, hash];
  for (const p of siblings) {
    if (sn === 0n) refuse("proof_long", "a sibling is left over");
    if (fn & 1n || fn === sn) {
      r = await nodeHash(p, r);
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      r = await nodeHash(r, p);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  if (sn !== 0n) refuse("proof_short", "siblings run out");
  if (!equal(r, wanted)) refuse("proof_root", hex(r));
};

// --- fixed layouts ------------------------------------------------------------------------------------------------

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const READERS = {
  u8: (v, at) => v.getUint8(at),
  u16: (v, at) => v.getUint16(at),
  u32: (v, at) => v.getUint32(at),
  i32: (v, at) => v.getInt32(at),
  u64: (v, at) => v.getBigUint64(at),
  u128: (v, at) => (v.getBigUint64(at) << 64n) | v.getBigUint64(at + 8),
};
const WIDTHS = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, u128: 16, bytes32: 32, bytes142: 142 };

const unpack = (layout, bytes) => {
  const fields = {};
  let at = 0;
  for (const [name, type] of layout) {
    const width = WIDTHS[type];
    fields[name] = type in READERS ? READERS[type](view(bytes), at) : bytes.slice(at, at + width);
    at += width;
  }
  return fields;
};

const size = (layout) => layout.reduce((n, [, type]) => n + WIDTHS[type], 0);

const TOTALS = [
  ["first_seq", "u64"], ["count", "u32"], ["valid_count", "u32"], ["first_ms", "u64"], ["last_ms", "u64"],
  ["last_flags", "u16"], ["last_value", "i32"], ["valid_ms", "u64"], ["min_value", "i32"], ["max_value", "i32"],
  ["longest_gap_ms", "u64"], ["known_ms", "u64"], ["unknown_ms", "u64"], ["above_ms", "u64"],
  ["above_longest_ms", "u64"], ["above_current_ms", "u64"], ["below_ms", "u64"], ["below_longest_ms", "u64"],
  ["below_current_ms", "u64"], ["mkt_weight_sum", "u128"],
];
const RECORD = [
  ["type", "u8"], ["channel", "u16"], ["quantity", "u16"], ["first_seq", "u64"], ["count", "u32"],
  ["first_time_ms", "u64"], ["last_time_ms", "u64"], ["readings_root", "bytes32"], ["totals", "bytes142"],
];
const HEADER = [
  ["type", "u8"], ["version", "u8"], ["gateway_id", "bytes32"], ["leg_state", "u8"], ["leg_id", "bytes32"],
  ["limits_hash", "bytes32"], ["frame_seq", "u64"], ["previous_hash", "bytes32"], ["sent_ms", "u64"],
  ["anchor_interval", "u64"], ["anchor_block_hash", "bytes32"], ["runs_root", "bytes32"], ["run_count", "u16"],
];
const BATCH_LEAF = [
  ["type", "u8"], ["version", "u8"], ["tenant", "bytes32"], ["batch_seq", "u64"], ["frames_root", "bytes32"],
  ["frame_count", "u32"], ["first_event_ms", "u64"], ["last_event_ms", "u64"], ["previous", "bytes32"],
  ["location_hash", "bytes32"],
];
const TIME_MS_MAX = 253402300799999n;
const FLAGS_KNOWN = 7;
const INVALID = 3; // FAULT | CLOCK

export const decodeTotals = (bytes) => unpack(TOTALS, bytes);

export const encodeTotals = (totals) => {
  const out = new Uint8Array(size(TOTALS));
  const v = view(out);
  let at = 0;
  for (const [name, type] of TOTALS) {
    const value = totals[name];
    if (type === "u128") {
      v.setBigUint64(at, value >> 64n);
      v.setBigUint64(at + 8, value & (2n ** 64n - 1n));
    } else if (type === "u64") v.setBigUint64(at, value);
    else if (type === "u32") v.setUint32(at, value);
    else if (type === "i32") v.setInt32(at, value);
    else v.setUint16(at, value);
    at += WIDTHS[type];
  }
  return out;
};

export const decodeRecord = (bytes) => {
  if (bytes.length !== size(RECORD)) refuse("frame_encoding", `run record of ${bytes.length} bytes`);
  const record = unpack(RECORD, bytes);
  if (record.type !== 2) refuse("frame_version", `run record type ${record.type}`);
  return record;
};

export const decodeHeader = (bytes) => {
  if (bytes.length !== size(HEADER)) refuse("frame_encoding", `header of ${bytes.length} bytes`);
  const header = unpack(HEADER, bytes);
  if (header.type !== 3 || header.version !== 1) refuse("frame_version", `${header.type}/${header.version}`);
  const idle = header.leg_state === 0;
  const sound =
    header.leg_state <= 2 &&
    idle === isZero(header.leg_id) &&
    idle === isZero(header.limits_hash) &&
    (header.frame_seq === 0n) === isZero(header.previous_hash) &&
    header.sent_ms <= TIME_MS_MAX &&
    (header.anchor_interval === 0n) === isZero(header.anchor_block_hash) &&
    header.run_count <= 256 &&
    (idle || header.run_count > 0);
  if (!sound) refuse("frame_field", "a header field contradicts another");
  return header;
};

export const decodeBatchLeaf = (bytes) => {
  if (bytes.length !== size(BATCH_LEAF)) refuse("refused", `batch leaf of ${bytes.length} bytes`);
  const leaf = unpack(BATCH_LEAF, bytes);
  const sound =
    leaf.type === 4 &&
    leaf.version === 1 &&
    leaf.batch_seq > 0n &&
    (leaf.batch_seq === 1n) === isZero(leaf.previous) &&
    leaf.frame_count > 0 &&
    leaf.first_event_ms <= leaf.last_event_ms &&
    leaf.last_event_ms <= TIME_MS_MAX;
  if (!sound) refuse("refused", "a batch leaf field is out of bounds");
  return leaf;
};

export const readingLeaf = (salt, channel, reading) => {
  const out = new Uint8Array(41);
  const v = view(out);
  out[0] = 1;
  out.set(salt, 1);
  v.setUint16(17, channel);
  v.setBigUint64(19, reading.seq);
  v.setBigUint64(27, reading.time_ms);
  v.setInt32(35, reading.value);
  v.setUint16(39, reading.flags);
  return out;
};

// --- envelope and signature ------------------------------------------------------------------------------------------

const head = (major, n) => {
  if (n < 24) return Uint8Array.of((major << 5) | n);
  if (n < 256) return Uint8Array.of((major << 5) | 24, n);
  if (n < 65536) return Uint8Array.of((major << 5) | 25, n >> 8, n & 255);
  return Uint8Array.of((major << 5) | 26, n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255);
};

const SIGNED_HEAD = unhex("0x846a5369676e61747572653143a1012640");
const ENVELOPE_HEAD = unhex("0xd28443a10126a0");

export const sigStructure = (payload) => concat(SIGNED_HEAD, head(2, payload.length), payload);
export const frameHash = (header) => leafHash(sigStructure(header));

const big = (bytes) => BigInt(hex(bytes));
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

export const verifySignature = async (x, y, message, r, s) => {
  const [rr, ss] = [big(r), big(s)];
  if (rr === 0n || rr >= ORDER || ss === 0n || ss > ORDER / 2n) return false;
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  try {
    const key = await crypto.subtle.importKey("raw", concat(Uint8Array.of(4), x, y), algorithm, false, ["verify"]);
    return await crypto.subtle.verify(algorithm, key, concat(r, s), message);
  } catch {
    return false; // not a point of the curve
  }
};

// --- frame ------------------------------------------------------------------------------------------------------------

const FRAME_BYTES_MAX = 2097152;
const FRAME_READINGS_MAX = 65536;

class Wire {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(count) {
    if (this.at + count > this.bytes.length) refuse("frame_size", `byte ${this.at}: ${count} wanted`);
    this.at += count;
    return this.bytes.slice(this.at - count, this.at);
  }

  expect(wanted, code = "frame_encoding") {
    if (!equal(this.take(wanted.length), wanted)) refuse(code, `byte ${this.at - wanted.length}: ${hex(wanted)} wanted`);
  }

  // A little-endian typed array of `count` items of `width` bytes.
  column(tag, width, count, read) {
    this.expect(Uint8Array.of(0xd8, tag));
    this.expect(head(2, width * count), "frame_readings");
    const v = view(this.take(width * count));
    return Array.from({ length: count }, (_, i) => read(v, i * width));
  }
}

export const decodeFrame = async (bytes) => {
  if (bytes.length > FRAME_BYTES_MAX) refuse("frame_size", `${bytes.length} bytes`);
  const wire = new Wire(bytes);
  wire.expect(Uint8Array.of(0x82));
  const start = wire.at;
  // The envelope's length is fixed: too few bytes are a matter of size, whatever they hold.
  const envelope = wire.take(7 + 2 + 221 + 2 + 64);
  const inner = new Wire(envelope);
  inner.expect(ENVELOPE_HEAD);
  inner.expect(head(2, 221));
  const payload = inner.take(221);
  inner.expect(head(2, 64));
  const signature = inner.take(64);
  const header = decodeHeader(payload);
  wire.expect(head(4, header.run_count), "frame_runs");
  const runs = [];
  let left = FRAME_READINGS_MAX;
  for (let i = 0; i < header.run_count; i++) {
    const run = await decodeRun(wire, header.leg_state === 0, left);
    if (i > 0 && run.record.channel <= runs[i - 1].record.channel) refuse("frame_runs", "channels do not ascend");
    left -= run.record.count;
    runs.push(run);
  }
  if (wire.at !== bytes.length) refuse("frame_encoding", "trailing bytes");
  const hashes = await Promise.all(runs.map((run) => leafHash(run.bytes)));
  if (!equal(await root(hashes), header.runs_root)) refuse("frame_root", "runs_root");
  return { header, payload, signature, envelope: bytes.slice(start, start + 296), runs };
};

const isQuantity = (code) => (code >= 1 && code <= 9) || code >= 32768;

const decodeRun = async (wire, idle, left) => {
  wire.expect(unhex("0x8558cf"));
  const bytes = wire.take(207);
  const record = decodeRecord(bytes);
  if (!isQuantity(record.quantity)) refuse("frame_runs", `quantity ${record.quantity}`);
  if (record.count > left) refuse("frame_readings", "too many readings");
  wire.expect(Uint8Array.of(0x50));
  const salt = wire.take(16);
  const n = record.count;
  const deltas = wire.column(70, 4, n, (v, at) => v.getUint32(at, true));
  const values = wire.column(78, 4, n, (v, at) => v.getInt32(at, true));
  const flags = decodeFlags(wire, n);
  checkTimes(record, salt, deltas);
  const readings = deltas.map((delta, i) => ({
    seq: record.first_seq + BigInt(i), time_ms: record.first_time_ms + BigInt(delta), value: values[i], flags: flags[i],
  }));
  const leaves = await Promise.all(readings.map((reading) => leafHash(readingLeaf(salt, record.channel, reading))));
  if (!equal(await root(leaves), record.readings_root)) refuse("frame_root", "readings_root");
  checkTotals(record, idle, readings);
  return { bytes, record, salt, readings };
};

const decodeFlags = (wire, n) => {
  if (wire.bytes[wire.at] === 0xf6) {
    wire.at += 1;
    return new Array(n).fill(0);
  }
  const flags = wire.column(69, 2, n, (v, at) => v.getUint16(at, true));
  if (flags.every((flag) => flag === 0)) refuse("frame_encoding", "flags are all zero but present");
  if (flags.some((flag) => flag & ~FLAGS_KNOWN)) refuse("frame_readings", "unknown flags");
  return flags;
};

const checkTimes = (record, salt, deltas) => {
  const n = deltas.length;
  const rising = deltas.every((delta, i) => (i === 0 ? delta === 0 : delta > deltas[i - 1]));
  const last = record.first_time_ms + BigInt(n ? deltas[n - 1] : 0);
  if (!rising || record.last_time_ms !== last || last > TIME_MS_MAX) refuse("frame_readings", "times");
  if (record.first_seq + BigInt(n) >= 2n ** 64n) refuse("frame_readings", "sequence numbers");
  if (n === 0 && (record.first_time_ms !== 0n || !isZero(salt))) refuse("frame_readings", "an empty run");
  if (n === 0 && hex(record.readings_root) !== EMPTY_ROOT) refuse("frame_readings", "an empty run with a root");
};

const EMPTY_ROOT = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const checkTotals = (record, idle, readings) => {
  const totals = decodeTotals(record.totals);
  const last = readings[readings.length - 1];
  let sound;
  if (idle) sound = isZero(record.totals);
  else if (totals.count === 0) sound = isZero(record.totals) && readings.length === 0;
  else {
    sound =
      totals.count >= readings.length &&
      totals.count >= totals.valid_count &&
      !(totals.last_flags & ~FLAGS_KNOWN) &&
      totals.first_seq + BigInt(totals.count) === record.first_seq + BigInt(readings.length) &&
      totals.first_ms <= totals.last_ms &&
      totals.known_ms + totals.unknown_ms === totals.last_ms - totals.first_ms &&
      (!last || (totals.last_ms === last.time_ms && totals.last_flags === last.flags));
  }
  if (!sound) refuse("frame_totals", `channel ${record.channel}`);
};

// --- totals -----------------------------------------------------------------------------------------------------------

export const decodeLimits = (bytes) => {
  const v = view(bytes);
  const channels = [];
  for (let at = 4; at < bytes.length; at += 62) {
    channels.push({
      channel: v.getUint16(at), quantity: v.getUint16(at + 2), lower: v.getInt32(at + 4), upper: v.getInt32(at + 8),
      hold_ms: v.getUint32(at + 12),
    });
  }
  return channels;
};

// w(value) · 2^32 by the published table, a list of BigInt.
export const weight = (table, value) => {
  const clamped = Math.max(-100000, Math.min(100000, value)) + 100000;
  const [k, f] = [Math.floor(clamped / 100), BigInt(clamped % 100)];
  return f === 0n ? table[k] : (table[k] * (100n - f) + table[k + 1] * f) / 100n;
};

export const emptyTotals = () => decodeTotals(new Uint8Array(142));

const max = (a, b) => (a > b ? a : b);

// One reading further; returns new totals.
export const fold = (before, limits, reading, table) => {
  const t = { ...before };
  if (t.count > 0) {
    if (reading.seq !== t.first_seq + BigInt(t.count) || reading.time_ms <= t.last_ms) refuse("totals", "order");
    const dt = reading.time_ms - t.last_ms;
    if (t.last_flags & INVALID) t.unknown_ms += dt;
    else hold(t, limits, dt, table);
  } else {
    t.first_seq = reading.seq;
    t.first_ms = reading.time_ms;
  }
  if (!(reading.flags & INVALID)) {
    if (t.valid_count > 0) t.longest_gap_ms = max(t.longest_gap_ms, reading.time_ms - t.valid_ms);
    if (reading.value <= limits.upper) t.above_current_ms = 0n;
    if (reading.value >= limits.lower) t.below_current_ms = 0n;
    t.min_value = t.valid_count === 0 ? reading.value : Math.min(t.min_value, reading.value);
    t.max_value = t.valid_count === 0 ? reading.value : Math.max(t.max_value, reading.value);
    t.valid_count += 1;
    t.valid_ms = reading.time_ms;
    t.last_value = reading.value;
  }
  t.count += 1;
  t.last_ms = reading.time_ms;
  t.last_flags = reading.flags;
  return t;
};

const hold = (t, limits, dt, table) => {
  const held = dt < BigInt(limits.hold_ms) ? dt : BigInt(limits.hold_ms);
  t.known_ms += held;
  t.unknown_ms += dt - held;
  if (limits.quantity === 1) t.mkt_weight_sum += weight(table, t.last_value) * held;
  for (const [side, outside] of [["above", t.last_value > limits.upper], ["below", t.last_value < limits.lower]]) {
    if (!outside) continue;
    t[`${side}_ms`] += held;
    t[`${side}_current_ms`] += held;
    t[`${side}_longest_ms`] = max(t[`${side}_longest_ms`], t[`${side}_current_ms`]);
  }
};

export { ZERO };

/** Digest of a channel's scores (docs/spec/anomaly.md) from pairs of a score's bits as a double and its detector. */
export function scoresDigest(scores) {
  let d = 14695981039346656037n;
  for (const word of scores.flat()) d = BigInt.asUintN(64, (d ^ BigInt(word)) * 1099511628211n);
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, d);
  return out;
}
