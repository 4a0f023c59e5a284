"""The network in torch, for training: inputs to quantiles. Its twin in numpy is `anomaly.forecast.network`."""

import torch
from torch import Tensor, nn

from anomaly.forecast.release import BLOCKS, Shape


class Network(nn.Module):
    """x (n, features) float32 → (n, 3, horizons, quantiles), ascending along the last, relative to centre and scale."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._outputs = (BLOCKS, len(shape.horizons_ms), len(shape.quantiles))
        widths = zip(shape.layers, shape.layers[1:], strict=False)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in widths)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        y = self.layers[-1](x).reshape(len(x), *self._outputs)
        steps = torch.cat([y[..., :1], nn.functional.softplus(y[..., 1:])], -1)
        return torch.cumsum(steps, -1)


def pinball(found: Tensor, wanted: Tensor, levels: Tensor) -> Tensor:
    """Mean pinball loss of quantiles (…, q) at `levels` (q,) over the targets (…) that are there (not NaN).

    ρ(y, q) = max(τ·(y − q), (τ − 1)·(y − q)): Koenker and Bassett, Econometrica 46 (1978).
    """
    there = torch.isfinite(wanted)
    error = torch.where(there, wanted, torch.zeros_like(wanted))[..., None] - found
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    return (loss * there).sum() / there.sum().clamp(min=1)
