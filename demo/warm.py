"""`python -m demo.warm`: compile kernels once an installation, those of the demo by a few hours of one truck."""

import io
import logging
import tempfile
from pathlib import Path

import numpy as np

from anomaly.detectors.rows import RowScorer
from anomaly.scoring.release import release
from dashboards.live import LiveView
from demo.closing import Closing
from demo.outcome import read_outcome
from demo.run import StoryRun
from demo.story import BEGIN_MS, FLEET, HOUR_MS
from lading import logs

HOURS = 9  # the first legs begin within them


def main() -> None:
    """Play the story's first hours in a folder that is thrown away."""
    logs.configure("warm", level=logging.ERROR)
    release()
    for columns in (1, 2):
        RowScorer(columns).score(np.arange(3), np.zeros((3, columns)))
    with (
        tempfile.TemporaryDirectory() as folder,
        LiveView(1, out=io.StringIO(), force_plain=True) as view,
    ):
        run = StoryRun(0, Path(folder), view, FLEET[:1])
        try:
            run.play(BEGIN_MS + HOURS * HOUR_MS, 0)
            rig = run.rig
            registry = rig.chainside.deployment.anchors
            closing = Closing(
                read_outcome(rig.stages.log),
                Path(folder),
                rig.stages.log,
                rig.chainside.chain,
                registry,
                rig.operator_key,
            )
            closing.document()
        finally:
            run.rig.close()


if __name__ == "__main__":
    main()
