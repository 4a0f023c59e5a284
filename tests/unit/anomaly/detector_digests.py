"""Run as a process: prints a digest a kernel over the same readings, compiled for the CPU that the environment says."""

import hashlib
import json

import numpy as np
from numba import config

from anomaly.scoring.release import release
from tests.unit.anomaly.test_detectors import CHANNELS, KERNELS, readings, scores


def digests() -> dict[str, str]:
    """Of scores and state; and of the ensemble with its episodes, as recorded scores name it."""
    found = {}
    for name, spec in KERNELS.items():
        state = np.zeros((CHANNELS, spec.width))
        out = scores(spec.kernel, state, readings(5, 1500))
        found[name] = hashlib.sha256(out.tobytes() + state.tobytes()).hexdigest()
    found["release"] = release()
    return found


if __name__ == "__main__":
    print(json.dumps({"cpu": config.CPU_NAME, "digests": digests()}))
