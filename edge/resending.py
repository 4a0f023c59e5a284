"""When a frame that the broker took, and ingest has not acknowledged, is sent again (ADR 0041)."""

from collections.abc import Callable

from edge.outbox import Outbox

PAUSE_S_MIN, PAUSE_S_MAX = 5.0, 600.0


class Resending:
    """Looks after pauses that double while nothing changes, so that an ingest that is away gets few duplicates.

    A receipt for a later frame tells that an earlier one, still without, is lost or late: all such are sent again.
    Without any receipt the newest frame alone is: its receipt then tells of the others.
    """

    def __init__(self, outbox: Outbox, monotonic_s: Callable[[], float]) -> None:
        self._outbox = outbox
        self._monotonic_s = monotonic_s
        self._seen = -1  # the greatest number that a receipt named
        self._seen_before = -1  # as it was at the last look: what is below has had a pause's time
        self._has_news = True
        self._pause_s = PAUSE_S_MIN
        self._due_s = 0.0
        self._next, self._below = 0, 0  # numbers that are being sent again

    def hear(self, frame_seq: int) -> None:
        """A receipt came."""
        self._seen = max(self._seen, frame_seq)
        self._has_news = True

    def begin(self) -> None:
        """The link is up anew: the broker may have forgotten what it had."""
        self._pause_s = PAUSE_S_MIN
        self._due_s = self._monotonic_s() + self._pause_s

    def look(self, sent_seq: int) -> None:
        """At most once a pause: choose what is sent again, of the frames up to `sent_seq`."""
        now_s = self._monotonic_s()
        if now_s < self._due_s or self._next < self._below:
            return
        oldest = self._outbox.frames_after(-1, 1)  # first, so that a failing outbox is looked at again
        self._pause_s = PAUSE_S_MIN if self._has_news else min(2 * self._pause_s, PAUSE_S_MAX)
        self._due_s = now_s + self._pause_s
        below = min(self._seen_before, sent_seq + 1)
        if oldest and oldest[0][0] < below:
            self._next, self._below = oldest[0][0], below
        elif oldest and oldest[0][0] <= sent_seq and not self._has_news:
            self._next, self._below = sent_seq, sent_seq + 1
        self._seen_before, self._has_news = self._seen, False

    def frames(self, count_max: int) -> list[tuple[int, bytes]]:
        """The next frames to send again."""
        if self._next >= self._below:
            return []
        found = self._outbox.frames_after(self._next - 1, count_max)
        chosen = [(seq, frame) for seq, frame in found if seq < self._below]
        if not chosen:
            self._next = self._below
        return chosen

    def sent(self, frame_seq: int) -> None:
        """A frame went out again."""
        self._next = frame_seq + 1
