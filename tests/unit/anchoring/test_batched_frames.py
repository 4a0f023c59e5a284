"""What a batch needs of frames is the same, read in columns or frame by frame."""

from anchoring.batches import batched_frame, batched_frames
from lading.cose import KeySigner
from lading.frame import NO_ANCHOR, NO_LEG, Reading, make_run, seal
from lading.totals import EMPTY
from lading.tree import ZERO_HASH


def test_columns_give_what_the_decoder_gives() -> None:
    """Frames with none, one and several runs, empty ones among them."""
    signer = KeySigner.from_seed(b"batched frames")
    frames = []
    for counts in ([], [0], [3], [0, 2], [2, 0, 5]):
        runs = [
            make_run(
                channel,
                1,
                0,
                bytes(16),
                [Reading(i, 10_000 - channel * 100 + i, 5) for i in range(count)],
                EMPTY,
            )
            for channel, count in enumerate(counts)
        ]
        frames.append(("demo", seal(signer, NO_LEG, 0, ZERO_HASH, 20_000, NO_ANCHOR, runs).encode()))
    assert batched_frames(frames) == [batched_frame(*frame) for frame in frames]
    assert batched_frames([]) == []
