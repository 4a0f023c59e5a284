"""What every detector promises, by one class of checks that all kernels pass."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from anomaly.detectors import (
    change,
    codebook,
    conformal,
    cross,
    cusum,
    cycle,
    daily,
    ensemble,
    features,
    gauss,
    level,
    profile,
    recall,
    robust,
    rows,
    shift,
    spread,
    sustained,
    tail,
)
from anomaly.detectors.episodes import Episodes
from anomaly.detectors.fresh import STAMP, drop_stale, kept_in, sources
from anomaly.detectors.scorer import CHUNK_ROWS, DETECTORS, Scorer
from lading.errors import MalformedError
from tests.naive_detectors.days import Cycle, Daily, Profile, Recall
from tests.naive_detectors.ensembles import Ensemble, Features
from tests.naive_detectors.levels import Change, Cusum, Level, Robust, Shift, Spread, Sustained
from tests.naive_detectors.rarities import Conformal, Gauss, Tail
from tests.naive_detectors.shapes import Codebook
from tests.naive_detectors.tables import Cross, one_column, several_columns
from tests.naive_detectors.twin import Twin

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CHANNELS, ROWS = 3, 700
STEP_MS = 300_000


class Readings(NamedTuple):
    """Of several channels, taking turns irregularly."""

    slot: Ints
    time_ms: Ints
    value: Floats

    def part(self, where: slice | npt.NDArray[np.bool_]) -> "Readings":
        """Some of them."""
        return Readings(*(column[where] for column in self))


def readings(seed: int = 1, count: int = ROWS) -> Readings:
    """Daily waves with noise, a shift, spikes, a flat stretch and faults."""
    rng = np.random.default_rng(seed)
    slot = rng.integers(0, CHANNELS, count)
    time_ms = 1_700_000_000_000 + np.arange(count) * STEP_MS + rng.integers(0, STEP_MS, count)
    value = np.sin(time_ms / 86_400_000 * 6.283) * (slot + 1) + rng.normal(0, 0.2, count)
    value[count // 2 : count // 2 + 60] += 4
    value[count // 3 : count // 3 + 30] = 1.25
    value[:: count // 9] += 20
    value[:: count // 7] = np.nan
    value[5 :: count // 5] = np.inf
    return Readings(slot, time_ms, value)


COLUMNS = 3


def as_rows(value: Floats) -> Floats:
    """Three sensors of a gateway from one: the second and third follow it, each with a bend of its own."""
    value = np.where(np.isfinite(value), value, np.nan)
    bend = np.floor(value * 3) / 3
    return np.column_stack([value, 2 - 0.5 * value + 0.1 * bend, value * 0.25 + bend])


def cross_rows(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """Each slot is a gateway."""
    for gateway in range(len(state)):
        mine = slot == gateway
        found = np.empty((mine.sum(), COLUMNS))
        cross.cross(state[gateway].reshape(COLUMNS, -1), as_rows(value[mine]), 1.0, found)
        out[mine] = found[:, 0] + 8 * found[:, 1] + 64 * found[:, 2]


def scores_and_detectors(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    detector, closed = np.empty(len(value), np.uint8), np.empty(len(value), np.uint8)
    work, times = np.empty(ensemble.WORK), np.empty(ensemble.RUN_READINGS, np.int64)
    ensemble.ensemble(state, slot, time_ms, value, out, detector, closed, work, times)
    out *= 8
    out += detector
    out += 64.0 * closed


OFTEN = 3  # times as often: about five minutes, so that one to several readings make a row


def of_minutes(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """Readings that come more often than rows."""
    scores_and_detectors(state, slot, time_ms // OFTEN, value, out)


class MinutesTwin(Ensemble):
    """Likewise."""

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        return super().step(time_ms // OFTEN, value, pace)


SELDOM = 2  # times as seldom, about half an hour, so that a row is a block


def of_half_hours(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """A logger that speaks every half an hour."""
    scores_and_detectors(state, slot, time_ms * SELDOM, value, out)


class HalfHoursTwin(Ensemble):
    """Likewise."""

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        return super().step(time_ms * SELDOM, value, pace)


LANE = 5


def lane_by_lane(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """Each channel in a lane of a block of its own, a step a reading; the season goes by its good readings."""
    step, tails, flags = (
        np.full((1, features.LANES), np.nan),
        np.empty((1, features.LANES)),
        np.empty((1, features.LANES)),
    )
    for i in range(len(value)):
        block = state[slot[i]].reshape(1, -1)
        step[0, LANE] = value[i]
        features.features(block, int(block[0, LANE]), step, tails, flags)
        out[i] = tails[0, LANE] * 64 + flags[0, LANE]


class CrossTwin:
    """One gateway."""

    def __init__(self) -> None:
        self.rows = Cross(COLUMNS)

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        one, two, three = self.rows.row(as_rows(np.array([value]))[0].tolist())
        return one + 8 * two + 64 * three


def gauss_of_sizes(state: Floats, slot: Ints, time_ms: Ints, value: Floats, out: Floats) -> None:
    """Surprises are sizes."""
    gauss.gauss(state, slot, time_ms, np.abs(value), out)


class GaussTwin(Gauss):
    """Of sizes, likewise."""

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        return super().step(time_ms, abs(value), pace)


class Spec(NamedTuple):
    """A kernel as the checks call it."""

    kernel: Callable[..., None]
    width: int
    twin: Callable[[], Twin]
    distinct: int = ROWS // 4  # scores that the check must see, to have reached past the learning


KERNELS = {
    "tail": Spec(tail.tail, tail.WIDTH, Tail),
    "conformal": Spec(conformal.conformal, conformal.WIDTH, Conformal),
    "robust": Spec(robust.robust, robust.WIDTH, Robust),
    "shift": Spec(shift.shift, shift.WIDTH, Shift),
    "cusum": Spec(cusum.cusum, cusum.WIDTH, Cusum),
    "spread": Spec(spread.spread, spread.WIDTH, Spread),
    "cycle": Spec(cycle.cycle, cycle.WIDTH, Cycle),
    "daily": Spec(daily.daily, daily.WIDTH, Daily),
    "profile": Spec(profile.profile, profile.WIDTH, Profile),
    "gauss": Spec(gauss_of_sizes, gauss.WIDTH, GaussTwin),
    "codebook": Spec(codebook.codebook, codebook.WIDTH, Codebook),
    "recall": Spec(recall.recall, recall.WIDTH, Recall),
    "sustained": Spec(sustained.sustained, sustained.WIDTH, Sustained),
    "level": Spec(level.level, level.WIDTH, Level),
    "change": Spec(change.change, change.WIDTH, Change),
    "cross": Spec(cross_rows, COLUMNS * cross.width(COLUMNS), CrossTwin),
    "features": Spec(lane_by_lane, features.WIDTH * features.LANES, Features),
    "ensemble": Spec(scores_and_detectors, ensemble.WIDTH, Ensemble, 50),
    "ensemble of minutes": Spec(of_minutes, ensemble.WIDTH, MinutesTwin, 15),
    "ensemble of half hours": Spec(of_half_hours, ensemble.WIDTH, HalfHoursTwin, 50),
}


def scores(kernel: Callable[..., None], state: Floats, given: Readings) -> Floats:
    """What the kernel says of them."""
    out = np.full(len(given.value), -7.0)
    kernel(state, *given, out)
    return out


@pytest.mark.parametrize("name", KERNELS)
class TestEveryKernel:
    """Pure functions of arrays."""

    def test_equals_its_twin_bit_for_bit(self, name: str) -> None:
        """The formula in plain Python, reading by reading."""
        kernel, width, twin, distinct = KERNELS[name]
        given = readings()
        out = scores(kernel, np.zeros((CHANNELS, width)), given)
        twins = [twin() for _ in range(CHANNELS)]
        said = [
            twins[slot].step(time_ms, value) if np.isfinite(value) else np.nan
            for slot, time_ms, value in zip(*(column.tolist() for column in given), strict=True)
        ]
        assert out.tobytes() == np.array(said).tobytes()
        assert len(set(out[np.isfinite(out)].tolist())) > distinct, "the check must reach past the learning"

    def test_cut_into_batches_changes_nothing(self, name: str) -> None:
        """One call or many: the same scores and state, bit for bit."""
        kernel, width, *_ = KERNELS[name]
        given = readings()
        whole, parts = np.zeros((CHANNELS, width)), np.zeros((CHANNELS, width))
        at_once = scores(kernel, whole, given)
        cuts = [0, 1, 2, 50, 333, 334, ROWS]
        found = [scores(kernel, parts, given.part(slice(a, b))) for a, b in itertools.pairwise(cuts)]
        assert np.concatenate(found).tobytes() == at_once.tobytes()
        assert parts.tobytes() == whole.tobytes()

    def test_channels_do_not_touch_one_another(self, name: str) -> None:
        """A channel among others scores as it does alone."""
        kernel, width, *_ = KERNELS[name]
        given = readings()
        together = scores(kernel, np.zeros((CHANNELS, width)), given)
        for channel in range(CHANNELS):
            mine = given.slot == channel
            alone = scores(kernel, np.zeros((CHANNELS, width)), given.part(mine))
            assert alone.tobytes() == together[mine].tobytes()

    def test_a_restored_snapshot_goes_on_identically(self, name: str) -> None:
        """State as bytes, elsewhere and back."""
        kernel, width, *_ = KERNELS[name]
        given = readings()
        state = np.zeros((CHANNELS, width))
        scores(kernel, state, given.part(slice(0, 400)))
        restored = np.frombuffer(state.tobytes()).reshape(state.shape).copy()
        rest = given.part(slice(400, ROWS))
        assert scores(kernel, state, rest).tobytes() == scores(kernel, restored, rest).tobytes()

    def test_faults_score_nan_and_change_nothing(self, name: str) -> None:
        """NaN and infinities leave no trace in what is said of the others."""
        kernel, width, *_ = KERNELS[name]
        given = readings()
        good = np.isfinite(given.value)
        out = scores(kernel, np.zeros((CHANNELS, width)), given)
        assert np.isnan(out[~good]).all()
        assert out[good].tobytes() == scores(kernel, np.zeros((CHANNELS, width)), given.part(good)).tobytes()

    def test_extreme_values_stay_finite(self, name: str) -> None:
        """The greatest and least floats, and zeros of both signs."""
        kernel, width, *_ = KERNELS[name]
        value = np.tile([0.0, -0.0, 1e300, -1e300, 5e-324, 1e150, 1.0, 1.0], 40)
        time_ms = np.arange(len(value), dtype=np.int64) * 40_000_000
        out = scores(kernel, np.zeros((1, width)), Readings(np.zeros(len(value), np.int64), time_ms, value))
        assert not np.isnan(out).any()


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_a_conformal_score_is_a_rank(unit: float) -> None:
    """Whatever the unit, and after tiny and huge values: minus log10 of the share of the last that were as great."""
    rng = np.random.default_rng(0)
    value = np.abs(rng.normal(size=6_000)) ** 3 * unit
    value[:10], value[3_001], value[::50] = 1e-12 * unit, 1e8 * unit, 0
    out, twin = np.empty(len(value)), Conformal()
    nothing = np.zeros(len(value), np.int64)
    conformal.conformal(np.zeros((1, conformal.WIDTH)), nothing, nothing, value, out)
    assert out.tolist() == [twin.step(0, one) for one in value.tolist()]
    rank = [(1 + (value[:t] >= value[t]).sum()) / (t + 1) for t in range(4_000, 6_000)]
    assert np.median(np.abs(out[4_000:] + np.log10(rank))) < 0.02
    assert out[3_001] > 3


@pytest.mark.parametrize(
    ("interval_s", "rows_a_day", "days"),
    [
        (17, 282, 4),
        (57, 276, 4),
        (134, 322, 4),
        (240, 360, 4),
        (300, 288, 4),
        (900, 96, 4),
        (3_600, 24, 12),
    ],
)
def test_an_hour_is_an_hour_however_often_a_sensor_speaks(
    interval_s: int, rows_a_day: int, days: int
) -> None:
    """Rows of five minutes or of an interval: days with lost readings and a gap of five hours, as the twin."""
    rng = np.random.default_rng(interval_s)
    time_ms = 1_700_000_000_000 + np.arange(0, days * 86_400, interval_s, dtype=np.int64) * 1000
    time_ms[len(time_ms) // 2 :] += 5 * 3_600_000 + 7
    time_ms = time_ms[rng.random(len(time_ms)) > 0.1]
    time_ms[99::100] = time_ms[98::100][: len(time_ms[99::100])] + 1_000  # two at once, now and then
    value = 8 * np.sin(time_ms / 86_400_000 * 6.283) + rng.normal(0, 0.2, len(time_ms))
    value[-len(value) // 9 :] += 40
    out, twin = np.empty(len(value)), Ensemble()
    scores_and_detectors(np.zeros((1, ensemble.WIDTH)), np.zeros(len(value), np.int64), time_ms, value, out)
    said = [twin.step(at, one) for at, one in zip(time_ms.tolist(), value.tolist(), strict=True)]
    assert out.tolist() == said
    assert twin.recall.period == pytest.approx(rows_a_day, rel=0.15)
    assert out.max() > 64 + 8 * rows.RAISE


def rows_of(interval_s: int, times: int) -> tuple[Ints, Floats]:
    """Times and a noisy level."""
    time_ms = 1_700_000_000_000 + np.arange(times, dtype=np.int64) * interval_s * 1_000
    return time_ms, np.random.default_rng(8).normal(5, 0.3, times)


@pytest.mark.parametrize("seed", range(5))
def test_a_logger_of_half_hours_finds_an_excursion_among_defrosts(seed: int) -> None:
    """Two hours of 3 °C more are an alarm; defrosts of half an hour each five hours, as high, are none."""
    rng = np.random.default_rng(seed)
    time_ms = 1_700_000_000_000 + np.arange(504, dtype=np.int64) * 6 * STEP_MS
    value = 4 + 0.5 * np.sin(time_ms / 86_400_000 * 6.283) + rng.normal(0, 0.3, len(time_ms))
    value[::11] += rng.uniform(2, 4, len(value[::11]))
    value[500:] += 3
    alarms = np.flatnonzero(rows.RowScorer(1).score(time_ms, value[:, None]).said >= rows.UPPER)
    assert len(alarms) == 1
    assert 500 <= alarms[0] < 504


def test_two_readings_at_once_delay_none_of_those_that_follow() -> None:
    """A sensor of quarter hours that speaks twice in a minute: all others score as they do without that reading."""
    time_ms, value = rows_of(900, 300)
    value[250:] += 12
    time_ms[150:] -= 840_000
    found = Scorer(1).score(np.zeros(300, np.int64), time_ms, value)
    assert np.flatnonzero(found.closed == 0).tolist() == [150]
    others = np.arange(300) != 150
    without = Scorer(1).score(np.zeros(299, np.int64), time_ms[others], value[others])
    assert found.score[others].tolist() == without.score.tolist()
    assert without.score.max() > rows.RAISE


@pytest.mark.parametrize("interval_s", [60, 300])
@pytest.mark.parametrize("back_s", [3 * 86_400, 400 * 86_400])
def test_a_clock_that_was_set_back_silences_nobody(interval_s: int, back_s: int) -> None:
    """One reading of another year, or all of them from now on: a jump a day later is an alarm still."""
    time_ms, value = rows_of(interval_s, 4 * 86_400 // interval_s)
    half, jump = len(value) // 2, 3 * len(value) // 4
    value[half - half // 8 : half] += 12
    value[jump:] -= 12
    set_back, leapt = time_ms.copy(), time_ms.copy()
    set_back[half + 3 :] -= back_s * 1_000  # of minutes: amid a row
    leapt[half + 3] += back_s * 1_000
    for times in (set_back, leapt):
        said = rows.RowScorer(1).score(times, value[:, None]).said
        begins = np.flatnonzero(said >= 0.5)
        assert (begins < half).any()
        assert ((begins >= jump) & (begins <= jump + 3 * 3_600 // interval_s)).any()


def test_recall_knows_the_time_of_day_though_readings_were_lost() -> None:
    """A third of all readings lost: a wave of 1,000 still differs by no more than a few minutes' worth."""
    time_ms = 1_700_000_000_000 + np.arange(4 * 288, dtype=np.int64) * STEP_MS
    time_ms = time_ms[np.random.default_rng(5).random(len(time_ms)) > 1 / 3]
    value = 1_000 * np.sin(time_ms / 86_400_000 * 6.283)
    out = np.empty(len(value))
    recall.recall(np.zeros((1, recall.WIDTH)), np.zeros(len(value), np.int64), time_ms, value, out)
    assert 0 < out.max() < 50, "ten minutes are 44; rows counted without the lost ones would be off by hours"


def test_recall_follows_a_clock_that_was_set_back() -> None:
    """Two days back: it goes on from there, as the twin."""
    time_ms = 1_700_000_000_000 + np.arange(1_500, dtype=np.int64) * STEP_MS
    time_ms[700:] -= 2 * 86_400_000
    value = np.floor(np.sin(time_ms / 86_400_000 * 6.283) * 1024)
    out, twin = np.empty(len(value)), Recall()
    recall.recall(np.zeros((1, recall.WIDTH)), np.zeros(len(value), np.int64), time_ms, value, out)
    assert out.tolist() == [
        twin.step(at, one) for at, one in zip(time_ms.tolist(), value.tolist(), strict=True)
    ]


def test_a_full_codebook_gives_up_what_it_used_least() -> None:
    """More shapes than prototypes: still the twin's distances."""
    value = np.random.default_rng(3).standard_cauchy(6_000) ** 3
    out, twin, nothing = np.empty(len(value)), Codebook(), np.zeros(len(value), np.int64)
    codebook.codebook(np.zeros((1, codebook.WIDTH)), nothing, nothing, value, out)
    assert out.tolist() == [twin.step(0, one) for one in value.tolist()]
    assert len(twin.book) == codebook.PROTOTYPES


def test_a_fleet_step_by_step_is_a_fleet_at_once() -> None:
    """Steps together or one by one, and lanes beside one another: the same bits."""
    rng = np.random.default_rng(4)
    steps, blocks, width = 40, 2, features.LANES
    value = rng.normal(3, 1, (blocks, steps * width))
    value[rng.random(value.shape) < 0.1] = np.nan
    state, whole = np.zeros((blocks, features.WIDTH * width)), [np.empty_like(value) for _ in range(2)]
    features.features(state, 0, value, *whole)
    parted, parts = np.zeros_like(state), [np.empty((blocks, width)) for _ in range(2)]
    for step in range(steps):
        at = slice(step * width, step * width + width)
        features.features(parted, step, np.ascontiguousarray(value[:, at]), *parts)
        assert all(part.tobytes() == one[:, at].tobytes() for part, one in zip(parts, whole, strict=True))
    assert parted.tobytes() == state.tobytes()
    alone = np.full_like(value, np.nan)
    alone[1, 9::width] = value[1, 9::width]
    said = [np.empty_like(value) for _ in range(2)]
    features.features(np.zeros_like(state), 0, alone, *said)
    assert said[0][1, 9::width].tobytes() == whole[0][1, 9::width].tobytes()


@pytest.mark.parametrize("hold", [1, 7])
def test_a_row_of_one_column_speaks_in_two_bands(hold: int) -> None:
    """The upper one is an alarm of `hold` rows; the score shows through below."""
    rng = np.random.default_rng(6)
    score = np.minimum(rng.random(2_000) ** 4 * 1.2, 1)
    time_ms = np.cumsum(rng.choice([60_000, STEP_MS, 12 * STEP_MS], len(score)))
    new = (rng.random(len(score)) > 0.2).astype(np.uint8)
    out, state = np.empty_like(score), np.zeros(rows.WIDTH)
    for part in np.split(np.arange(len(score)), [3, 700, 701]):
        said = np.empty(len(part))
        rows.alarm_rows(state, time_ms[part], score[part], new[part], hold, said)
        out[part] = said
    assert out.tolist() == one_column(time_ms.tolist(), score.tolist(), new.tolist(), hold)
    begins = np.flatnonzero(np.diff(out, prepend=0) * (out >= 0.5))
    assert 10 * hold <= (out >= 0.5).sum()
    assert np.diff(time_ms[begins]).min() >= rows.QUIET_MS
    assert new[begins].all()


@pytest.mark.parametrize("hold", [1, 20])
def test_a_row_of_several_columns_says_how_far_the_furthest_is(hold: int) -> None:
    """And 0 where a change begins; cuts into batches, and columns with faults, change nothing of that."""
    rng = np.random.default_rng(7)
    table = rng.normal(0, 1, (900, 3)) + np.array([5, 100, -3])
    table[400:600, 1] += 9
    table[rng.random(table.shape) < 0.05] = np.nan
    table[450] = np.nan
    scorer = rows.RowScorer(3, hold)
    parts = [scorer.score(np.arange(len(part)), part) for part in np.split(table, [1, 38, 421])]
    out = np.concatenate([part.said for part in parts])
    assert out.tolist() == several_columns(table.tolist(), hold)
    assert (out[430:590] >= 0.5).mean() > 0.98
    assert (out[100:400] >= 0.5).mean() < 0.1
    assert out[450] == 0 or hold > 1
    assert set(parts[3].column[30:160].tolist()) == {1}


def test_kernels_of_other_sources_are_dropped(tmp_path: Path) -> None:
    """After an update nothing that was compiled before is used, whichever file changed; else it stays."""
    kept = tmp_path / "kept"
    assert drop_stale(kept, "one")
    (kept / "ensemble.nbi").touch()
    assert not drop_stale(kept, "one")
    assert (kept / "ensemble.nbi").exists()
    assert drop_stale(kept, "two")
    assert not (kept / "ensemble.nbi").exists()
    assert (kept_in() / STAMP).read_text() == sources()


def test_a_scorer_says_which_detector_and_stays_in_range() -> None:
    """Scores lie in [0, 1]; a fault scores 0 and no detector; a jump that stays is an alarm."""
    scorer = Scorer(CHANNELS)
    given = readings(count=3000)
    calm = given._replace(value=np.sin(given.time_ms / 86_400_000 * 6.283) + np.tile([0.1, -0.1, 0.05], 1000))
    scorer.score(*calm)
    jump = Readings(np.zeros(20, np.int64), calm.time_ms[-1] + np.arange(20) * STEP_MS, np.full(20, 30.0))
    jump.value[0] = np.nan
    found = scorer.score(*jump)
    assert found.score[0] == 0
    assert DETECTORS[found.detector[0]] == "none"
    assert 0.5 <= found.score[19] <= 1
    assert DETECTORS[found.detector[19]] != "none"


def test_a_channels_row_moves_to_another_scorer() -> None:
    """As a partition moves: the row put elsewhere, in another slot, goes on identically; growing keeps it."""
    here, there = Scorer(CHANNELS), Scorer(1)
    given = readings()
    here.score(*given)
    there.grow(2_000)
    there.put(1_999, here.row(1))
    there.grow(10_000)
    rest = readings(2)
    rest = rest._replace(time_ms=rest.time_ms + ROWS * STEP_MS).part(rest.slot == 1)
    moved = rest._replace(slot=np.full(len(rest.slot), 1_999))
    assert here.score(*rest).score.tobytes() == there.score(*moved).score.tobytes()
    assert here.row(1) == there.row(1_999)
    with pytest.raises(MalformedError, match="wanted version 2"):
        there.put(0, b"\x07" + here.row(1)[1:])


def test_it_does_not_matter_where_a_channels_row_lies() -> None:
    """Slots at the chunks' edges, with a chunk between them that nothing falls into, score as the first ones do."""
    near, far = Scorer(CHANNELS), Scorer(3 * CHUNK_ROWS + 1)
    slots = np.array([CHUNK_ROWS - 1, CHUNK_ROWS, 3 * CHUNK_ROWS])
    given = readings()
    found, there = near.score(*given), far.score(*given._replace(slot=slots[given.slot]))
    assert found.score.any()
    for wanted, one in zip(found, there, strict=True):
        assert wanted.tobytes() == one.tobytes()
    assert [near.row(n) for n in range(CHANNELS)] == [far.row(int(slot)) for slot in slots]


@pytest.mark.parametrize(("fives", "end_ms"), [(1, 30_000), (3, 19_000)])
def test_an_episode_is_one_alarm(fives: int, end_ms: int) -> None:
    """Begin, peak and end, once, though the score dips; it ends by the time that is quiet: longer rows are fewer."""
    score = np.zeros(180)
    score[10:20], score[14], score[30], score[70] = 0.6, 0.9, 0.3, 0.2
    score[150], score[160] = np.nan, 0.5
    time_ms = np.arange(180, dtype=np.int64) * 1000
    alarms = Episodes(1)
    found = [
        episode
        for a, b in ((0, 15), (15, 180))
        for episode in alarms.take(
            np.zeros(b - a, np.int64), time_ms[a:b], score[a:b], np.full(b - a, fives, np.uint8)
        )
    ]
    seen = [(one.begin_ms, one.peak_ms, one.peak, one.end_ms) for one in found]
    assert seen[:3] == [
        (10_000, 10_000, 0.6, None),
        (10_000, 14_000, 0.9, end_ms),
        (160_000, 160_000, 0.5, None),
    ]
