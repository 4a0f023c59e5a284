"""Two thermal masses, air and load, behind one wall: the exact solution over a step of constant heat."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Masses:
    """Heat capacities and conductances of a box.

    C_a dA/dt = U (E - A) + H (L - A) + P and C_l dL/dt = H (A - L), with A air, L load, E ambient (°C), P heat
    into the air (W), U wall (W/K), H between air and load (W/K).
    """

    air_j_k: float
    load_j_k: float
    wall_w_k: float
    coupling_w_k: float

    def rates_s(self) -> tuple[float, float]:
        """The two decay rates (1/s), slow first: both masses together through the wall, then air against load."""
        middle, spread = self._middle_spread()
        return -(middle + spread), -(middle - spread)

    def propagator(self, step_s: float) -> tuple[float, float, float, float]:
        """exp(M t), row by row: what is left of the distance from equilibrium after `step_s`."""
        middle, spread = self._middle_spread()
        slow, fast = math.exp((middle + spread) * step_s), math.exp((middle - spread) * step_s)
        same = (slow + fast) / 2
        mixed = (slow - fast) / (2 * spread)
        (aa, al), (la, ll) = self._matrix()
        return same + mixed * (aa - middle), mixed * al, mixed * la, same + mixed * (ll - middle)

    def _matrix(self) -> tuple[tuple[float, float], tuple[float, float]]:
        loss = (self.wall_w_k + self.coupling_w_k) / self.air_j_k
        gain = self.coupling_w_k / self.air_j_k
        load = self.coupling_w_k / self.load_j_k
        return (-loss, gain), (load, -load)

    def _middle_spread(self) -> tuple[float, float]:
        (aa, al), (la, ll) = self._matrix()
        middle = (aa + ll) / 2
        return middle, math.sqrt(middle * middle - (aa * ll - al * la))


def saturation_pa(celsius: float) -> float:
    """Water vapour pressure over water at saturation, Pa (Magnus, coefficients of WMO-No. 8)."""
    return 611.2 * math.exp(17.62 * celsius / (243.12 + celsius))
