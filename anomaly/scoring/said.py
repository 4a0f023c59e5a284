"""From what was found to records of the log, in an order that the cut into batches does not change."""

import numpy as np

from anomaly.detectors.episodes import Episode as Alarm
from anomaly.detectors.scorer import DETECTORS
from anomaly.scoring.block import Block, Found, Readings
from anomaly.scoring.fold import COUNT, DIGEST, FIRST_SEQ, INVALID, PEAK, PEAK_SEQ, Words
from anomaly.scoring.leg import Channel, Leg, Open
from anomaly.scoring.marks import Marks
from anomaly.scoring.plan import Part, Plan
from anomaly.scoring.reasons import reason
from lading.episode import SCORE_MAX, ChannelScores, Episode, Scores, State
from lading.walk import Walked

Said = Episode | Scores
Item = tuple[tuple[int, int, int], Said]  # frame, episodes before the part they are in, place


def say(
    walked: Walked, plan: Plan, readings: Readings, found: Found, block: Block, release: str
) -> list[Said]:
    """Episodes that began or ended, and parts that are whole."""
    up = {slot for leg in plan.touched.values() for slot in leg.open}
    marks = Marks(walked, plan, readings, found, up | {alarm.slot for alarm in found.episodes})
    items = [_event(alarm, marks, plan, release) for alarm in found.episodes]
    for leg in plan.touched.values():
        for slot, seen in leg.open.items():
            alarm = block.going_on(slot)
            assert alarm is not None, f"slot {slot} has an episode that is up"
            leg.open[slot] = marks.opened(alarm, seen)
    for part in plan.parts:
        if part.is_last:
            items += _ended_with(part, release)
        items.append(((part.frame, 2, 0), _scores(part, plan, found, release)))
    return [said for _, said in sorted(items, key=lambda item: item[0])]


def _event(alarm: Alarm, marks: Marks, plan: Plan, release: str) -> Item:
    run = marks.run_of(alarm.at)
    leg, frame = plan.leg[run], plan.frame[run]
    up = marks.opened(alarm, leg.open.pop(alarm.slot, None))
    if alarm.end_ms is None:
        leg.open[alarm.slot] = up
    state: State = "begun" if alarm.end_ms is None else "ended"
    return (frame, 0, alarm.at), _episode(leg, plan.channel[run], up, state, release)


def _ended_with(part: Part, release: str) -> list[Item]:
    """What is up when the leg closes ends there."""
    channels = {slot: channel for channel, slot in part.leg.slots.items()}
    ended = sorted((channels[slot], up) for slot, up in part.leg.open.items())
    return [
        ((part.frame, 1, at), _episode(part.leg, channel, up, "ended", release))
        for at, (channel, up) in enumerate(ended)
    ]


def _episode(leg: Leg, channel: Channel, up: Open, state: State, release: str) -> Episode:
    detector = DETECTORS[up.detector]
    marks = (mark.moment for mark in up[:3])
    why = reason(detector, channel[1])
    return Episode(leg.scoring(release), *channel, state, detector, up.score, why, *marks)


def _scores(part: Part, plan: Plan, found: Found, release: str) -> Scores:
    rows = {plan.channel[run]: found.parts[run] for run in part.runs}
    channels = tuple(_channel(channel, row) for channel, row in sorted(rows.items()) if row[COUNT])
    return Scores(part.leg.scoring(release), part.number, part.is_last, part.frames, channels)


def _channel(channel: Channel, row: Words) -> ChannelScores:
    score = int(float(row[PEAK].view(np.float64)) * SCORE_MAX)
    counts = int(row[FIRST_SEQ]), int(row[COUNT]), int(row[INVALID])
    return ChannelScores(*channel, *counts, score, int(row[PEAK_SEQ]), int(row[DIGEST]).to_bytes(8, "big"))
