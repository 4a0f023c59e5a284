"""Where a replay gets a leg's frames: an evidence file that was checked, or the log."""

from dataclasses import dataclass

from anomaly.alerts import anomalies, names_of_legs
from anomaly.scoring.said import Said
from lading import topics
from lading.batchlog import records_between
from lading.checks import Expected, Status
from lading.decoding import decode_frame, decode_header
from lading.errors import LadingError, ProofError, ServiceError
from lading.evidence import Evidence
from lading.log import OpenLog
from lading.verify import verify

PREFIX_HEX_MIN = 8
LegId = tuple[bytes, bytes, bytes]  # leg id, gateway id, limits hash


@dataclass(frozen=True, slots=True)
class LegFrames:
    """A leg's frames by frame_seq; `withheld` are those whose readings are not all there."""

    leg: LegId
    frames: dict[int, bytes]
    withheld: frozenset[int]


def frames_in_evidence(data: bytes) -> LegFrames:
    """The frames of an evidence file, after every check that needs no chain. ProofError names those that failed."""
    report = verify(data, Expected())
    failed = [f"{one.name}: {one.found}" for one in report.results if one.status == Status.FAIL]
    if failed or report.evidence is None:
        raise ProofError("evidence", f"the file does not prove its leg: {'; '.join(failed)}")
    return _from(report.evidence)


def _from(evidence: Evidence) -> LegFrames:
    header = evidence.frames[0].frame.header
    found = {proof.frame.header.frame_seq: proof.frame for proof in evidence.frames}
    withheld = frozenset(seq for seq, frame in found.items() if any(run.is_withheld for run in frame.runs))
    leg = header.leg_id, header.gateway_id, header.limits_hash
    return LegFrames(leg, {seq: frame.encode() for seq, frame in found.items()}, withheld)


def find_leg(log: OpenLog, text: str, gateway: bytes | None) -> LegId:
    """The leg that a reference, a leg id or its beginning means, among those that were scored."""
    names = names_of_legs(log)
    wanted = text.lower().removeprefix("0x")
    found = {
        one.leg[1:4]
        for one in anomalies(log)
        if gateway in (None, one.leg.gateway_id)
        and (
            names.get(one.leg.leg_id) == text
            or (len(wanted) >= PREFIX_HEX_MIN and one.leg.leg_id.hex().startswith(wanted))
        )
    }
    if len(found) != 1:
        shown = ", ".join(sorted(f"{leg.hex()[:16]} of {by.hex()[:16]}" for leg, by, _ in found)[:8])
        raise ServiceError(
            "leg_unknown", f"{text!r} means {shown or 'no leg that was scored'}, wanted one leg or a file"
        )
    return found.pop()


def frames_in_log(log: OpenLog, leg: LegId) -> LegFrames:
    """A leg's frames in the log, those that came twice once."""
    begin = log.begin(topics.FRAMES)
    ranges = {
        part: (begin[part], end - 1) for part, end in log.end(topics.FRAMES).items() if end > begin[part]
    }
    frames: dict[int, bytes] = {}
    withheld: set[int] = set()
    for record in records_between(log, topics.FRAMES, ranges):
        if record.key != leg[1]:
            continue
        header = decode_header(record.value)
        if (header.leg_id, header.gateway_id, header.limits_hash) != leg or header.frame_seq in frames:
            continue
        frames[header.frame_seq] = record.value
        try:
            decode_frame(record.value)
        except LadingError:
            withheld.add(header.frame_seq)
    return LegFrames(leg, frames, frozenset(withheld))


def recorded_of(log: OpenLog, leg: LegId) -> list[Said]:
    """What the log says of the leg's scores."""
    return [one for one in anomalies(log) if one.leg[1:4] == leg]
