"""Signatures of gateways checked many at once: keys that sign often get a table, the others go to `cryptography`.

Whatever `lading.p256` does not call good, `cryptography` decides: a mistake there could cost time, not a good frame.
"""

from collections import Counter
from collections.abc import Sequence
from threading import Lock

import numpy as np

from lading.cose import PublicKey
from lading.errors import RejectedError
from lading.p256 import KEY_TABLE_POINTS, key_table, verify_many
from lading.p256_lanes import AFFINE_WORDS, LANES

Claim = tuple[PublicKey, bytes, bytes]  # key, digest, signature

TABLES_MAX = 4_096  # 5 kB each, taken as they are needed
COUNTED_KEYS_MAX = 50_000
USES_BEFORE_TABLE = 64
CLAIMS_BEFORE_TABLES = 5_000  # fewer are not worth compiling the lanes for


class Signatures:
    """Checks claims, from any thread. After the first thousands, a key with 64 gets its table while there is room."""

    def __init__(
        self, *, tables_max: int = TABLES_MAX, claims_before_tables: int = CLAIMS_BEFORE_TABLES
    ) -> None:
        self._claims_left = claims_before_tables
        self._lock = Lock()
        self._tables = np.zeros((tables_max, KEY_TABLE_POINTS, AFFINE_WORDS), np.int32)
        self._places: dict[bytes, int] = {}  # by x ‖ y: a key object is kilobytes, and is not kept here
        self._uses: Counter[bytes] = Counter()

    def check(self, claims: Sequence[Claim]) -> list[RejectedError | None]:
        """For each claim None, or why the signature is refused."""
        places = [self._place(key) for key, _, _ in claims]
        rows = [row for row, place in enumerate(places) if place is not None]
        good: set[int] = set()
        if len(rows) >= LANES // 2:
            some = [claims[row] for row in rows]
            sure = verify_many(
                self._tables,
                [place for place in places if place is not None],
                [digest for _, digest, _ in some],
                [signature for _, _, signature in some],
            )
            good = {row for row, is_sure in zip(rows, sure.tolist(), strict=True) if is_sure}
        return [None if row in good else _refusal(*claim) for row, claim in enumerate(claims)]

    def _place(self, key: PublicKey) -> int | None:
        """Where the key's table is, None while it has none."""
        name = key.encode()
        place = self._places.get(name)
        if place is not None or len(self._places) == len(self._tables):
            return place
        with self._lock:
            self._uses[name] += 1
            self._claims_left -= 1
            is_busy = self._uses[name] > USES_BEFORE_TABLE and self._claims_left < 0
            if is_busy and name not in self._places:
                del self._uses[name]
                self._tables[len(self._places)] = key_table(key)
                self._places[name] = len(self._places)
            if len(self._uses) > COUNTED_KEYS_MAX:
                self._uses.clear()
        return self._places.get(name)


def _refusal(key: PublicKey, digest: bytes, signature: bytes) -> RejectedError | None:
    try:
        key.verify_digest(digest, signature)
    except RejectedError as exc:
        return exc
    return None
