"""The network without torch: inputs to quantiles, in numpy. Its twin is `anomaly.forecast.module`."""

import numpy as np
import numpy.typing as npt

from anomaly.forecast.features import Inputs
from anomaly.forecast.release import BLOCKS, Shape, Weights

Quantiles = npt.NDArray[np.float32]


def run(shape: Shape, weights: Weights, inputs: Inputs) -> Quantiles:
    """(n, 3, horizons, quantiles) from (n, features), both relative to centre and scale."""
    x = inputs
    last = len(shape.layers) - 2
    for n in range(last + 1):
        x = x @ weights[f"layers.{n}.weight"].T + weights[f"layers.{n}.bias"]
        if n < last:
            x = np.maximum(x, np.float32(0))
    y = x.reshape(len(inputs), BLOCKS, len(shape.horizons_ms), len(shape.quantiles))
    steps = np.concatenate([y[..., :1], np.logaddexp(np.float32(0), y[..., 1:])], axis=-1)
    return np.cumsum(steps, axis=-1, dtype=np.float32)
