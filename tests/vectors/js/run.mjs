// Runs the frozen vectors: `node tests/vectors/js/run.mjs`. Closes with a count; exit 1 when a vector is not met.

import { readFileSync } from "node:fs";
import * as lading from "./lading.mjs";

const { hex, unhex } = lading;
const folder = new URL("../", import.meta.url);
const load = (path) => JSON.parse(readFileSync(new URL(path, folder), "utf8"));

let passed = 0;
const failures = [];

const check = async (name, promise) => {
  try {
    await promise();
    passed += 1;
  } catch (error) {
    failures.push(`${name}: ${error.message}`);
  }
};

const same = (found, wanted, what) => {
  const show = (value) => (value instanceof Uint8Array ? hex(value) : String(value));
  if (show(found) !== String(wanted)) throw new Error(`${what} ${show(found)}, wanted ${wanted}`);
};

// What `act` does, or its refusal, is what the case says.
const meets = async (wanted, act) => {
  let code = "";
  try {
    await act();
  } catch (error) {
    if (!(error instanceof lading.Refused)) throw error;
    code = error.code;
  }
  same(code, wanted, "refused with");
};

const fields = (decoded, wanted) => {
  for (const [name, value] of Object.entries(decoded)) if (name in wanted) same(value, wanted[name], name);
};

const tree = load("tree.json");
for (const one of tree.roots) {
  await check(`root of ${one.count}`, async () => same(await lading.root(one.leaf_hashes.map(unhex)), one.root, "root"));
}
for (const one of tree.inclusion) {
  await check(`inclusion: ${one.name}`, () =>
    meets(one.error, () =>
      lading.checkInclusion(
        unhex(one.leaf_hash), BigInt(one.index), BigInt(one.count), one.siblings.map(unhex), unhex(one.root),
      ),
    ),
  );
}

for (const one of load("signature.json").cases) {
  await check(`signature: ${one.name}`, async () => {
    const [x, y, message, r, s] = [one.x, one.y, one.message, one.r, one.s].map(unhex);
    same(await lading.verifySignature(x, y, message, r, s), one.valid, "valid");
    same(await lading.sha256(message), one.digest, "digest");
  });
}

const frames = load("frame.json");
for (const one of frames.readings) {
  await check(`reading ${one.seq}`, async () => {
    const reading = { seq: BigInt(one.seq), time_ms: BigInt(one.time_ms), value: one.value, flags: one.flags };
    const leaf = lading.readingLeaf(unhex(one.salt), one.channel, reading);
    same(leaf, one.bytes, "leaf");
    same(await lading.leafHash(leaf), one.leaf_hash, "leaf hash");
  });
}
for (const one of frames.records) {
  await check(`run record: ${one.name}`, () =>
    meets(one.error, async () => {
      const record = lading.decodeRecord(unhex(one.bytes));
      fields(record, one);
      for (const [name, value] of Object.entries(lading.decodeTotals(record.totals))) same(value, one[`totals_${name}`], name);
      same(await lading.leafHash(unhex(one.bytes)), one.leaf_hash, "leaf hash");
    }),
  );
}
for (const one of frames.headers) {
  await check(`header: ${one.name}`, () =>
    meets(one.error, async () => {
      fields(lading.decodeHeader(unhex(one.bytes)), one);
      same(lading.sigStructure(unhex(one.bytes)), one.sig_structure, "Sig_structure");
      same(await lading.frameHash(unhex(one.bytes)), one.frame_hash, "frame hash");
    }),
  );
}
for (const one of frames.frames) {
  await check(`frame: ${one.name}`, () =>
    meets(one.error, async () => {
      const frame = await lading.decodeFrame(lading.concat(unhex(one.bytes), new Uint8Array(one.zeros_after)));
      same(frame.payload, one.header, "header");
      same(frame.signature, one.signature, "signature");
      same(frame.envelope, one.envelope, "envelope");
      same(await lading.frameHash(frame.payload), one.frame_hash, "frame hash");
      const signed = lading.sigStructure(frame.payload);
      const [r, s] = [frame.signature.slice(0, 32), frame.signature.slice(32)];
      same(await lading.verifySignature(unhex(frames.key_x), unhex(frames.key_y), signed, r, s), true, "signed");
      const runs = frame.runs.map((run) => ({
        record: hex(run.bytes), salt: hex(run.salt), channel: run.record.channel,
        readings: run.readings.map((x) => [String(x.seq), String(x.time_ms), x.value, x.flags]),
      }));
      same(JSON.stringify(runs), JSON.stringify(one.runs), "runs");
    }),
  );
}

const totals = load("totals.json");
const table = load("../../lading/data/mkt_weights.json").map(BigInt);
const packed = new Uint8Array(8 * table.length);
table.forEach((weight, i) => new DataView(packed.buffer).setBigUint64(8 * i, weight));
await check("weights' table", async () => {
  same(table.length, totals.table.entries, "entries");
  same(await lading.sha256(packed), totals.table.sha256, "digest");
});
for (const one of totals.weights) {
  await check(`weight of ${one.value}`, async () => same(lading.weight(table, one.value), one.weight, "weight"));
}
const asReading = ([seq, time_ms, value, flags]) => ({ seq: BigInt(seq), time_ms: BigInt(time_ms), value, flags });
for (const one of totals.folds) {
  await check(`fold: ${one.name}`, async () => {
    const [limits] = lading.decodeLimits(unhex(one.limits));
    let state = lading.emptyTotals();
    one.readings.forEach((reading, i) => {
      state = lading.fold(state, limits, asReading(reading), table);
      same(lading.encodeTotals(state), one.steps[i], `after reading ${i}`);
    });
  });
}
for (const one of totals.refused) {
  await check(`fold refused: ${one.name}`, () =>
    meets("totals", async () => {
      const [limits] = lading.decodeLimits(unhex(one.limits));
      lading.fold(lading.decodeTotals(unhex(one.totals)), limits, asReading(one.reading), table);
    }),
  );
}
for (const one of totals.layouts) {
  await check(`totals' layout: ${one.name}`, async () => fields(lading.decodeTotals(unhex(one.bytes)), one));
}

const batches = load("batch.json");
for (const one of batches.leaves) {
  await check(`batch leaf: ${one.name}`, () =>
    meets(one.error, async () => {
      fields(lading.decodeBatchLeaf(unhex(one.bytes)), one);
      same(await lading.leafHash(unhex(one.bytes)), one.leaf_hash, "leaf hash");
    }),
  );
}
for (const one of batches.super_roots) {
  await check(`super-root of ${one.tenants.length}`, async () => {
    const hashes = await Promise.all(one.leaves.map((leaf) => lading.leafHash(unhex(leaf))));
    const count = BigInt(hashes.length);
    same(await lading.root(hashes), one.super_root, "super-root");
    await lading.checkInclusion(
      hashes[one.index], BigInt(one.index), count, one.siblings.map(unhex), unhex(one.super_root),
    );
  });
}

for (const [i, one] of load("anomaly.json").digests.entries()) {
  await check(`digest of scores ${i}`, async () => same(lading.scoresDigest(one.scores), one.digest, "digest"));
}

failures.forEach((failure) => console.log(failure));
console.log(`${passed} passed, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
