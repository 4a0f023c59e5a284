"""The salts of drills. Others are random (`edge.gateway.salt`)."""

import random

from edge.gateway import Gateway
from lading.frame import SALT_BYTES
from lading.tree import sha256


class SeededSalts:
    """Salts that follow from seed, frame number and channel: two runs of a drill then make the same frames."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.gateway: Gateway | None = None

    def __call__(self, channel: int) -> bytes:
        assert self.gateway is not None
        at = b"%d:%d" % (self.gateway.frame_seq, channel)
        return random.Random(sha256(self._seed + at)).randbytes(SALT_BYTES)
