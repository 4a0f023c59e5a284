"""The scoring is its naive twin's, however frames are cut into batches, and keeps channels apart."""

import itertools
import random
from collections.abc import Sequence

import pytest

from anomaly.scoring.block import Block
from anomaly.scoring.engine import Engine
from anomaly.scoring.leg import Leg as ScoredLeg
from anomaly.scoring.said import Said
from lading.cose import KeySigner
from lading.episode import Episode, Scores, read_anomaly
from lading.frame import Frame
from tests.legs import Leg
from tests.unit.anomaly.scoring_twin import twin, wild_leg


def plain(said: Sequence[Said]) -> list[list[object]]:
    """As the twin says it."""
    found: list[list[object]] = []
    for one in said:
        if isinstance(one, Episode):
            moments = (tuple(one.begin), tuple(one.peak), tuple(one.last))
            found.append(["episode", one.channel, one.quantity, one.state, one.detector, one.score, *moments])
        else:
            channels = [tuple(channel) for channel in one.channels]
            found.append(["scores", one.part, one.closed, list(one.frames), channels])
    return found


def scored(frames: Sequence[Frame], cuts: Sequence[int] = ()) -> list[Said]:
    """What an engine says of frames, cut into batches."""
    engine, said = Engine(), list[Said]()
    edges = [0, *cuts, len(frames)]
    for first, end in itertools.pairwise(edges):
        said += engine.take([frame.encode() for frame in frames[first:end]])
    return said


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_twin(seed: int) -> None:
    """Episodes with their readings, and every score by digest; each record decodes to itself."""
    leg = wild_leg(seed)
    said = scored(leg.frames)
    assert plain(said) == twin(leg.frames)
    states = [one.state for one in said if isinstance(one, Episode)]
    assert states.count("begun") == states.count("ended") >= 3
    assert sum(isinstance(one, Scores) for one in said) >= 2
    assert [read_anomaly(one.encode()) for one in said] == said


def test_the_cut_into_batches_changes_nothing() -> None:
    """Frame by frame, and cut at random, with two gateways' frames among one another."""
    one = wild_leg(4, gateway=KeySigner.from_seed(b"one"))
    other = wild_leg(5, gateway=KeySigner.from_seed(b"other"))
    frames = [frame for pair in zip(one.frames, other.frames, strict=True) for frame in pair]
    whole = scored(frames)
    assert scored(frames, range(1, len(frames))) == whole
    rng = random.Random(6)
    assert scored(frames, sorted(rng.sample(range(1, len(frames)), 5))) == whole
    for leg in (one, other):
        own = [said for said in whole if said.leg.gateway_id == leg.begin.gateway]
        assert plain(own) == twin(leg.frames)


def test_what_is_kept_goes_on_identically() -> None:
    """An engine that takes up what another kept says what that one would have said."""
    leg = wild_leg(7)
    whole = scored(leg.frames)
    for cut in range(1, len(leg.frames)):
        first = Engine()
        said = first.take([frame.encode() for frame in leg.frames[:cut]])
        ((key, known),) = first.changed.items()
        kept = known.keep(first.block)

        def load(key: bytes, block: Block, kept: bytes = kept, known: ScoredLeg = known) -> ScoredLeg:
            restored = ScoredLeg(key, known.last_frame_seq)
            restored.restore(kept, block)
            return restored

        second = Engine(load)
        said += second.take([frame.encode() for frame in leg.frames[cut:]])
        assert key == known.key
        assert said == whole


def test_frames_that_are_passed_over() -> None:
    """A frame again, one that comes late, one after the closing frame: none is scored; gaps show in the ranges."""
    leg = wild_leg(8)
    f = leg.frames
    arrived = [*f[:5], f[2], *f[7:12], f[5], *f[12:], f[3]]
    engine = Engine()
    said = engine.take([frame.encode() for frame in arrived])
    assert engine.passed_over == {"late": 2, "closed": 1}
    assert plain(said) == twin([*f[:5], *f[7:]])
    first = next(one for one in said if isinstance(one, Scores))
    assert first.frames[0] == (0, 4)
    assert first.frames[1][0] == 7
    assert engine.block.used == 0


def test_a_slot_begins_anew_for_the_next_leg() -> None:
    """What one leg taught the detectors, the next one does not know."""
    legs: list[Leg] = [wild_leg(seed, reference=f"leg-{seed}") for seed in (9, 10)]
    engine = Engine()
    said = [engine.take([frame.encode() for frame in leg.frames]) for leg in legs]
    assert [plain(one) for one in said] == [twin(leg.frames) for leg in legs]
