"""Everything but the signature that makes a frame acceptable: batched kernels against the pure decoder and fold."""

from benchmarks.data import LIMITS, make_chain, wires
from benchmarks.measure import Result, Work, compare
from lading.decoding import decode_frame
from lading.fast import check_frames
from lading.totals import EMPTY, fold

GATEWAYS, FRAMES = 10, 50
READINGS = 100
PEER_FRAMES = 20


def check_purely(frames: list[bytes]) -> None:
    """The peer: the pure twin, which the tests hold the kernels to."""
    totals = EMPTY
    for data in frames:
        run = decode_frame(data).runs[0]
        totals = fold(totals, LIMITS.channels[0], run.readings)
        assert totals == run.record.totals


def run(*, quick: bool) -> list[Result]:
    """Structure, columns, both roots, chain, limits and totals of frames of 100 readings."""
    chains = [make_chain(gateway, FRAMES // 5 if quick else FRAMES, READINGS) for gateway in range(GATEWAYS)]
    frames = wires(chains)
    limits = {LIMITS.hash: LIMITS.encode()}
    assert check_frames(frames, (), limits).follows.all()
    few = wires(chains[:1])[:PEER_FRAMES]
    works = {
        "lading.fast.check_frames": Work(lambda: check_frames(frames, (), limits), len(frames) * READINGS),
        "pure decoder and fold": Work(lambda: check_purely(few), len(few) * READINGS),
    }
    data = f"{len(frames)} frames of {READINGS} readings in one call; pure {len(few)} frames; one thread"
    return [compare("ingest check without signatures", "readings/s", data, works, quick=quick)]
