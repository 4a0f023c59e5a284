"""Many frames checked at once: what `decoding.decode_frame` and `totals.fold` check, in a few kernel calls.

A frame that does not pass is not refused here: the pure decoder looks at it, and says what is wrong. Signatures are
the caller's (`PublicKey.verify_digest` over `Checked.digests`), as is whether the predecessor itself was taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from lading import lanes
from lading.cose import sig_structure
from lading.frame import HEADER_BYTES, RECORD_BYTES
from lading.refold import NONE, UNKNOWN, Links, refold
from lading.sha16 import BLOCK_WORDS, DIGEST_BYTES, LANES, hash_words
from lading.tree import ZERO_HASH
from lading.unaligned import u16_big, u32_big
from lading.walk import (
    READING_BYTES_MIN,
    RUN_BYTES_MIN,
    SIGNATURE_BYTES,
    SIGNED_BYTES,
    SIGNED_HEAD_BYTES,
    Bytes,
    Columns,
    Flags,
    Offsets,
    Walked,
    walk,
)

_SIGNED_HEAD = np.frombuffer(sig_structure(bytes(HEADER_BYTES))[:SIGNED_HEAD_BYTES], np.uint8)
_SALT_BYTES = 16
_LEAF_WORD, _END_MARK, _LEAF_BITS = 0x0001, 0x8000, 8 * 42


class Head(NamedTuple):
    """A frame that was taken before: its header, 221 bytes, and its run records, joined."""

    header: bytes
    records: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """n frames in the order given. Rows of a frame that is not `whole` mean nothing; it has no runs or no true ones.

    `previous` is the predecessor's row: of this batch below n, else n + its place among the heads; −1 for frame_seq 0,
    −2 where it is not known. `follows` judges by the predecessor's signed totals, whatever became of the predecessor.
    """

    whole: Flags  # (n,) decode_frame takes it
    follows: Flags  # (n,) and its leg, limits and totals follow from the predecessor
    previous: Offsets  # (n,)
    headers: Bytes  # (n, 221)
    signatures: Bytes  # (n, 64)
    hashes: Bytes  # (n, 32) frame hash: the leaf in the batch tree
    digests: Bytes  # (n, 32) SHA-256 of the Sig_structure: what the signature is over
    run_starts: Offsets  # (n + 1,) first run of each frame
    records: Bytes  # (runs, 207)
    reading_starts: Offsets  # (runs + 1,) first reading of each run
    columns: Columns  # readings

    def gateway_id(self, frame: int) -> bytes:
        """32 bytes."""
        return self.headers[frame, 2:34].tobytes()

    def head(self, frame: int) -> Head:
        """The frame as the predecessor of a later batch's."""
        runs = slice(self.run_starts[frame], self.run_starts[frame + 1])
        return Head(self.headers[frame].tobytes(), self.records[runs].tobytes())

    def readings(self, frame: int) -> slice:
        """Where the frame's readings are in the columns."""
        first, last = self.run_starts[frame], self.run_starts[frame + 1]
        return slice(int(self.reading_starts[first]), int(self.reading_starts[last]))


def check_frames(
    frames: Sequence[bytes], heads: Sequence[Head] = (), limits: Mapping[bytes, bytes] | None = None
) -> Checked:
    """Check wire frames; `heads` are the gateways' newest taken frames, `limits` the limits documents by their hash."""
    walked = walk_frames(frames)
    count = len(frames)
    headers = np.concatenate([walked.headers, _joined(head.header for head in heads)])
    signed = _signed(headers)
    hashes = lanes.leaf_hashes(signed)
    whole = _roots_fit(walked)
    links = _links(walked, headers, hashes, heads, whole, limits or {})
    follows = np.zeros(count, np.bool_)
    refold(links, walked.reading_starts, walked.columns, whole, follows)
    return Checked(
        whole,
        follows,
        links.previous,
        headers.reshape(-1, HEADER_BYTES)[:count],
        walked.signatures.reshape(-1, SIGNATURE_BYTES),
        hashes[:count],
        lanes.digests(signed[:count]),
        walked.run_starts,
        walked.records.reshape(-1, RECORD_BYTES),
        walked.reading_starts,
        walked.columns,
    )


def walk_frames(frames: Sequence[bytes]) -> Walked:
    """Columns of wire frames without a hash: for frames that were checked before, and the first half of the check."""
    lengths = np.fromiter(map(len, frames), np.int64, len(frames))
    data = np.frombuffer(bytearray().join(frames) or bytearray(1), np.uint8)
    runs_max = int((lengths // RUN_BYTES_MIN).sum())
    readings_max = int((lengths // READING_BYTES_MIN).sum())
    walked = Walked(
        np.zeros(len(frames), np.bool_),
        np.zeros(len(frames) * HEADER_BYTES, np.uint8),
        np.zeros(len(frames) * SIGNATURE_BYTES, np.uint8),
        np.zeros(len(frames) + 1, np.int64),
        np.empty(runs_max * RECORD_BYTES, np.uint8),
        np.empty(runs_max * _SALT_BYTES, np.uint8),
        np.zeros(runs_max + 1, np.int64),
        Columns(
            np.empty(readings_max, np.uint16),
            np.empty(readings_max, np.uint64),
            np.empty(readings_max, np.int64),
            np.empty(readings_max, np.int32),
            np.empty(readings_max, np.uint16),
        ),
    )
    walk(data, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), walked)
    runs = int(walked.run_starts[-1])
    readings = int(walked.reading_starts[runs])
    return walked._replace(
        records=walked.records[: runs * RECORD_BYTES],
        salts=walked.salts[: runs * _SALT_BYTES],
        reading_starts=walked.reading_starts[: runs + 1],
        columns=Columns._make(column[:readings] for column in walked.columns),
    )


def frame_hashes(walked: Walked) -> Bytes:
    """(n, 32)"""
    return header_hashes(walked.headers)


def header_hashes(headers: Bytes) -> Bytes:
    """(n, 32) from n headers, one after the other."""
    return lanes.leaf_hashes(_signed(headers))


def event_times(walked: Walked) -> tuple[Offsets, Offsets]:
    """Least and greatest time in ms of each frame's readings; when it was signed, if it holds none."""
    headers = walked.headers.reshape(-1, HEADER_BYTES)
    records = walked.records.reshape(-1, RECORD_BYTES)
    sent_ms = _big_endian(headers[:, 139:147], ">u8")
    filled = _big_endian(records[:, 13:17], ">u4") > 0
    frames = np.repeat(np.arange(len(headers)), np.diff(walked.run_starts))[filled]
    first_ms = np.full(len(headers), np.iinfo(np.int64).max)
    last_ms = np.full(len(headers), -1)
    np.minimum.at(first_ms, frames, _big_endian(records[filled, 17:25], ">u8"))
    np.maximum.at(last_ms, frames, _big_endian(records[filled, 25:33], ">u8"))
    return np.where(last_ms < 0, sent_ms, first_ms), np.where(last_ms < 0, sent_ms, last_ms)


def _big_endian(columns: Bytes, kind: str) -> Offsets:
    return np.ascontiguousarray(columns).view(kind).reshape(-1).astype(np.int64)


def _signed(headers: Bytes) -> Bytes:
    """The Sig_structure of each header, (rows, 240)."""
    signed = np.empty((len(headers) // HEADER_BYTES, SIGNED_BYTES), np.uint8)
    signed[:, :SIGNED_HEAD_BYTES] = _SIGNED_HEAD
    signed[:, SIGNED_HEAD_BYTES:] = headers.reshape(-1, HEADER_BYTES)
    return signed


def _roots_fit(walked: Walked) -> Flags:
    """Which of the frames have the roots of what they carry."""
    records = walked.records.reshape(-1, RECORD_BYTES)
    leaves = np.empty(len(walked.columns.seq) * DIGEST_BYTES, np.uint8)
    _hash_readings(walked.records, walked.salts, walked.reading_starts, walked.columns, leaves)
    found = lanes.reduce_segments(leaves, walked.reading_starts)
    run_fits = (found == records[:, 33:65]).all(axis=1)
    misfits = np.concatenate([[0], np.cumsum(~run_fits)])[walked.run_starts]
    frame_roots = lanes.segment_roots(lanes.leaf_hashes(records), walked.run_starts)
    frame_fits = (frame_roots == walked.headers.reshape(-1, HEADER_BYTES)[:, 187:219]).all(axis=1)
    fits: Flags = walked.whole & frame_fits & (misfits[1:] == misfits[:-1])
    return fits


@njit(cache=True)
def _hash_readings(
    records: Bytes, salts: Bytes, reading_starts: Offsets, columns: Columns, out: Bytes
) -> None:
    """Leaf hashes of all readings, to out (n·32,) u8: H(00 ‖ 01 ‖ salt ‖ channel ‖ seq ‖ time ‖ value ‖ flags).

    42 bytes are one block, and the fields lie on word boundaries but for the salt, which is two bytes off.
    """
    words = np.zeros(BLOCK_WORDS * LANES, np.uint32)
    words[15 * LANES :] = _LEAF_BITS
    targets = np.empty(LANES, np.int64)
    lane = 0
    for run in range(len(reading_starts) - 1):
        salt = run * _SALT_BYTES
        channel = u16_big(records, run * RECORD_BYTES + 1)
        for i in range(reading_starts[run], reading_starts[run + 1]):
            words[lane] = _LEAF_WORD << 16 | u16_big(salts, salt)
            for word in range(3):
                words[(1 + word) * LANES + lane] = u32_big(salts, salt + 2 + 4 * word)
            words[4 * LANES + lane] = np.uint32(u16_big(salts, salt + 14)) << 16 | channel
            words[5 * LANES + lane] = columns.seq[i] >> np.uint64(32)
            words[6 * LANES + lane] = np.uint32(columns.seq[i])
            words[7 * LANES + lane] = columns.time_ms[i] >> 32
            words[8 * LANES + lane] = np.uint32(columns.time_ms[i])
            words[9 * LANES + lane] = np.uint32(columns.value[i])
            words[10 * LANES + lane] = np.uint32(columns.flags[i]) << 16 | _END_MARK
            targets[lane] = i * DIGEST_BYTES
            lane += 1
            if lane == LANES:
                hash_words(words, out, targets)
                lane = 0
    if lane:
        targets[lane:] = targets[0]
        for spare in range(lane, LANES):
            for word in range(BLOCK_WORDS):
                words[word * LANES + spare] = words[word * LANES]
        hash_words(words, out, targets)


def _links(
    walked: Walked,
    headers: Bytes,
    hashes: Bytes,
    heads: Sequence[Head],
    whole: Flags,
    limits: Mapping[bytes, bytes],
) -> Links:
    """Finds each frame's predecessor by its hash, and its limits."""
    rows = headers.reshape(-1, HEADER_BYTES)
    count = len(whole)
    row_of = {hash_: row for row, hash_ in enumerate(_split(hashes)) if row >= count or whole[row]}
    row_of[ZERO_HASH] = NONE
    previous = [row_of.get(hash_, UNKNOWN) for hash_ in _split(rows[:count, 107:139])]
    at, places = 0, {}
    for hash_, document in limits.items():
        places[hash_] = at
        at += len(document)
    limits_at = [places.get(hash_, UNKNOWN) for hash_ in _split(rows[:count, 67:99])]
    run_starts = np.cumsum([walked.run_starts[-1], *(len(head.records) // RECORD_BYTES for head in heads)])
    return Links(
        headers,
        np.concatenate([walked.run_starts, run_starts[1:]]),
        np.concatenate([walked.records, _joined(head.records for head in heads)]),
        np.array(previous, np.int64),
        _joined(limits.values()),
        np.array(limits_at, np.int64),
    )


def _joined(parts: Iterable[bytes]) -> Bytes:
    return np.frombuffer(bytearray().join(parts), np.uint8)


def _split(rows: npt.NDArray[np.uint8]) -> list[bytes]:
    """Rows of 32 bytes as bytes objects."""
    data = rows.tobytes()
    return [data[at : at + DIGEST_BYTES] for at in range(0, len(data), DIGEST_BYTES)]
