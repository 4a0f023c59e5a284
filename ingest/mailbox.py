"""What a broker holds for one subscriber until it acknowledges: in order, bounded, few under way at once."""

import asyncio
from collections import OrderedDict, deque
from typing import NamedTuple

PACKET_IDS = 65_535


class Letter(NamedTuple):
    """A message for a subscriber. `share`: the shared subscription through which it came."""

    topic: str
    data: bytes
    retain: bool
    share: str | None
    number: int  # of the message in the broker's store


class Mailbox:
    """Messages that wait, and those sent and not yet acknowledged."""

    def __init__(self, in_flight_max: int, in_flight_bytes_max: int, count_max: int, bytes_max: int) -> None:
        self._in_flight_max = in_flight_max
        self._in_flight_bytes_max = in_flight_bytes_max
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._waiting: deque[Letter] = deque()
        self._sent: OrderedDict[int, Letter] = OrderedDict()
        self._bytes = 0
        self._sent_bytes = 0
        self._packet_id = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    @property
    def is_full(self) -> bool:
        """Whether one more would pass a bound."""
        return len(self) >= self._count_max or self._bytes >= self._bytes_max

    def put(self, letter: Letter) -> None:
        """Add to the end."""
        self._waiting.append(letter)
        self._bytes += len(letter.data)
        self._wake()

    async def room(self) -> None:
        """Wait until there is room."""
        while self.is_full:
            await self._change()

    async def next(self) -> tuple[int, Letter]:
        """The next letter under a packet id of its own, once there is one and few enough are under way."""
        while not self._waiting or not self._may_send():
            await self._change()
        packet_id = self._free_id()
        self._sent[packet_id] = letter = self._waiting.popleft()
        self._sent_bytes += len(letter.data)
        return packet_id, letter

    def sent(self) -> list[tuple[int, Letter]]:
        """What was sent and not acknowledged: to be sent again, in order, to one who has come back."""
        return list(self._sent.items())

    def acknowledge(self, packet_id: int) -> Letter | None:
        """The subscriber has it."""
        letter = self._sent.pop(packet_id, None)
        if letter is not None:
            self._bytes -= len(letter.data)
            self._sent_bytes -= len(letter.data)
            self._wake()
        return letter

    def take_shared(self) -> list[Letter]:
        """Take back what came through shared subscriptions: another member may have it."""
        kept = [letter for letter in self._waiting if letter.share is None]
        shared = [letter for letter in (*self._sent.values(), *self._waiting) if letter.share is not None]
        self._sent = OrderedDict((i, letter) for i, letter in self._sent.items() if letter.share is None)
        self._waiting = deque(kept)
        self._bytes -= sum(len(letter.data) for letter in shared)
        self._sent_bytes = sum(len(letter.data) for letter in self._sent.values())
        self._wake()
        return shared

    def _may_send(self) -> bool:
        return len(self._sent) < self._in_flight_max and self._sent_bytes < self._in_flight_bytes_max

    def _free_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % PACKET_IDS + 1
            if self._packet_id not in self._sent:
                return self._packet_id

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> None:
        await self._changed.wait()
