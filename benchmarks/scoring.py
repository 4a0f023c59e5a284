"""The detectors on the stream: frames from the log to scores, episodes in the log and state in the file."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from anomaly.detectors.scorer import Scorer
from anomaly.scoring.block import Block
from anomaly.scoring.stage import Scores
from anomaly.stage import Anomaly
from anomaly.state import State
from benchmarks.data import OPERATOR, TENANT, in_turns, make_chain
from benchmarks.measure import Result, Work, compare
from lading import topics
from lading.assignment import sign_assignment
from lading.log import SqliteLog
from lading.names import tenant_id

GATEWAYS, FRAMES, READINGS = 64, 48, 100


@dataclass
class Place:
    """A folder with a log of frames that passed every check."""

    folder: Path
    log: SqliteLog

    def score(self) -> None:
        """All frames, to the last checkpoint."""
        state = State(self.folder / "scores.sqlite")
        scores = Scores(self.log, state)
        while scores.step():
            pass
        scores.close()
        state.close()

    def judge(self) -> None:
        """The rules over the same frames."""
        rules = Anomaly(self.log, self.folder / "rules.sqlite", {tenant_id(TENANT): OPERATOR.public})
        while rules.step():
            pass
        rules.close()


def run(*, quick: bool) -> list[Result]:
    """Scores beside the rules, each from its own state file that is new, over one log."""
    chains = [make_chain(gateway, FRAMES // 4 if quick else FRAMES, READINGS) for gateway in range(GATEWAYS)]
    frames = in_turns(chains)
    orders = [(chain.order.gateway, sign_assignment(chain.order, OPERATOR)) for chain in chains]
    opened: list[Place] = []

    def prepare() -> tuple[Place]:
        while opened:
            done = opened.pop()
            done.log.close()
            shutil.rmtree(done.folder)
        folder = Path(tempfile.mkdtemp(prefix="lading-bench-"))
        opened.append(Place(folder, SqliteLog(folder / "log.sqlite")))
        opened[0].log.append(topics.ASSIGNMENTS, orders)
        opened[0].log.append(topics.FRAMES, [(frame.header.gateway_id, frame.encode()) for frame in frames])
        return (opened[0],)

    works: dict[str, Work] = {
        name: Work(once, len(frames) * READINGS, prepare)
        for name, once in dict[str, Callable[[Place], None]](
            {"scores, to the log and the state file": Place.score, "the rules alone": Place.judge}
        ).items()
    }
    data = f"{len(frames)} frames of {READINGS} readings from {GATEWAYS} gateways, from an SQLite log; one thread"
    found = compare("scoring the stream", "readings/s", data, works, quick=quick)
    prepare()
    shutil.rmtree(opened.pop().folder)
    notes = {
        "bytes of state a channel": float(Block().row_bytes),
        "of these the detectors'": float(len(Scorer(1).row(0))),
    }
    return [replace(found, notes=notes)]
