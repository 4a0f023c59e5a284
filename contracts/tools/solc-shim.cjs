#!/usr/bin/env node
// Makes the emscripten solc of npm look like a native one to forge: `--version` and `--standard-json` only.
'use strict';
const fs = require('fs');
const soljson = require('solc/soljson.js');

const args = process.argv.slice(2);

function version() {
  const text = soljson.UTF8ToString(soljson._solidity_version());
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${text}\n`);
}

// The input goes through the compiler's own heap: passed as a string it would lie on the small wasm stack,
// which megabytes of sources overflow.
function compile(input) {
  const size = soljson.lengthBytesUTF8(input) + 1;
  const place = soljson._solidity_alloc(size);
  soljson.stringToUTF8(input, place, size);
  return Buffer.from(soljson.UTF8ToString(soljson._solidity_compile(place, 0, 0)));
}

function write(bytes) {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += fs.writeSync(1, bytes, done);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

if (args.includes('--version')) {
  version();
} else if (args.includes('--standard-json')) {
  write(compile(fs.readFileSync(0, 'utf8')));
} else {
  process.stderr.write(`solc-shim: cannot do ${args.join(' ')}\n`);
  process.exit(1);
}
