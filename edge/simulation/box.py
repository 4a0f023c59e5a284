"""A cooled box: thermostat with hysteresis, defrost, door, air, load and humidity, in steps of ten seconds."""

import math
from dataclasses import dataclass

from edge.simulation.thermal import Masses, saturation_pa

STEP_MS = 10_000
STEP_S = STEP_MS / 1000


def _share(time_constant_s: float) -> float:
    return 1 - math.exp(-STEP_S / time_constant_s)


DRY_SHARE = _share(600.0)  # coil takes the air's vapour in about ten minutes
DOOR_SHARE = _share(150.0)  # an open door changes the air in a few minutes
MOIST_STEPS = 6  # the load's temperature hardly moves in a minute
MOIST_SHARE = _share(2700.0)  # packaging and product give vapour back


@dataclass(frozen=True, slots=True)
class Design:
    """How a box is built and set. Powers in W, into the air if positive."""

    masses: Masses
    set_c: float
    band_k: float
    cooling_w: float
    base_w: float
    door_w_k: float
    defrost_w: float
    defrost_every_s: float
    defrost_for_s: float
    coil_below_k: float = 7.0


@dataclass(frozen=True, slots=True)
class Outside:
    """What lies around the box during a step."""

    celsius: float
    vapour_pa: float
    door_open: bool
    compressor_able: bool


class Box:
    """State of one box. `step` goes on by STEP_MS."""

    def __init__(self, design: Design, defrost_age_s: float = 0.0) -> None:
        self.design = design
        self.air_c = design.set_c
        self.load_c = design.set_c
        self.cooling = False
        self.defrosting = False
        self.vapour_pa = 0.85 * saturation_pa(design.set_c)
        self._defrost_clock_s = defrost_age_s
        masses = design.masses
        open_wall = masses.wall_w_k + design.door_w_k
        opened = Masses(masses.air_j_k, masses.load_j_k, open_wall, masses.coupling_w_k)
        self._shut = (masses.wall_w_k, masses.propagator(STEP_S))
        self._open = (open_wall, opened.propagator(STEP_S))
        self._steps = 0
        self._load_pa = 0.95 * saturation_pa(design.set_c)
        self._coil_pa = saturation_pa(design.set_c - design.coil_below_k)

    def step(self, outside: Outside) -> None:
        """Ten seconds on."""
        self._control(outside.compressor_able)
        design = self.design
        heat_w = design.base_w
        if self.cooling:
            heat_w -= design.cooling_w
        if self.defrosting:
            heat_w += design.defrost_w
        wall_w_k, (aa, al, la, ll) = self._open if outside.door_open else self._shut
        rest_c = outside.celsius + heat_w / wall_w_k
        air_k = self.air_c - rest_c
        load_k = self.load_c - rest_c
        self.air_c = rest_c + aa * air_k + al * load_k
        self.load_c = rest_c + la * air_k + ll * load_k
        self._moisten(outside)

    def relative_humidity(self) -> float:
        """0..1 of saturation at the air's temperature."""
        return min(1.0, self.vapour_pa / saturation_pa(self.air_c))

    def bring_in(self, share: float, celsius: float) -> None:
        """Replace a share of the load by goods of another temperature."""
        self.load_c += share * (celsius - self.load_c)

    def _control(self, able: bool) -> None:
        design = self.design
        self._defrost_clock_s += STEP_S
        if self.defrosting:
            self.defrosting = self._defrost_clock_s < design.defrost_for_s
        elif able and self._defrost_clock_s >= design.defrost_every_s:
            self.defrosting = True
            self._defrost_clock_s = 0.0
        if not able or self.defrosting:
            self.cooling = False
        elif self.air_c >= design.set_c + design.band_k:
            self.cooling = True
        elif self.air_c <= design.set_c - design.band_k:
            self.cooling = False

    def _moisten(self, outside: Outside) -> None:
        self._steps += 1
        if self._steps % MOIST_STEPS == 0:
            self._load_pa = 0.95 * saturation_pa(self.load_c)
            self.vapour_pa = min(self.vapour_pa, saturation_pa(self.air_c))
        vapour_pa = self.vapour_pa
        vapour_pa += MOIST_SHARE * (self._load_pa - vapour_pa)
        if self.cooling and vapour_pa > self._coil_pa:
            vapour_pa += DRY_SHARE * (self._coil_pa - vapour_pa)
        if outside.door_open:
            vapour_pa += DOOR_SHARE * (outside.vapour_pa - vapour_pa)
        self.vapour_pa = vapour_pa
