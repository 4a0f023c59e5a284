"""The twin that holds a reading to the shapes its channel has shown."""

import math
from collections import deque

from anomaly.detectors import codebook
from tests.naive_detectors.twin import NONE, clip, in_order


class Codebook:
    """Shapes of the last blocks' extremes, and prototypes of them."""

    def __init__(self, block: int = codebook.BLOCK, limit: float = codebook.LIMIT) -> None:
        self.block, self.limit = block, limit
        self.values: list[float] = []
        self.shape: deque[float] = deque(maxlen=codebook.BLOCKS)
        self.blocks, self.judged, self.usual, self.weight = 0, 0, 0.0, 1.0
        self.mean: float | None = None
        self.book: list[list[float]] = []
        self.uses: list[float] = []
        self.said = NONE

    def step(self, time_ms: int, value: float, pace: float = 1.0) -> float:
        value = clip(value, codebook.VALUE_MAX)
        self.mean = value if self.mean is None else self.mean
        self.values.append(value)
        if len(self.values) >= self.block:
            self.mean = (self.mean + in_order(self.values) / len(self.values)) / 2
            most, least = max(self.values), min(self.values)
            self.shape.append(most if abs(most - self.mean) >= abs(least - self.mean) else least)
            self.values = []
            self.blocks += 1
            if self.blocks > codebook.BLOCKS:
                self.said = self.judge(list(self.shape), pace)
        return self.said

    def judge(self, shape: list[float], pace: float) -> float:
        if not self.book:
            self.book, self.uses = [list(shape)], [1.0]
        squares = [in_order([(x - y) * (x - y) for x, y in zip(shape, p, strict=True)]) for p in self.book]
        place = squares.index(min(squares))
        d = math.sqrt(squares[place])
        self.judged += 1
        self.weight *= codebook.GROWTH
        if d > self.limit * self.usual and self.judged > codebook.TRUST_FROM:
            self.add(shape)
        else:
            share = pace * codebook.LEARN
            self.book[place] = [p + share * (x - p) for x, p in zip(shape, self.book[place], strict=True)]
            self.uses[place] += self.weight
        held = min(d, codebook.CLIP * self.usual) if self.judged > codebook.CLIP_FROM else d
        self.usual += pace * max(codebook.MEMORY, 1 / self.judged) * (held - self.usual)
        if self.weight > codebook.WEIGHT_MAX:
            self.weight *= codebook.SCALE_DOWN
            self.uses = [uses * codebook.SCALE_DOWN for uses in self.uses]
        return d

    def add(self, shape: list[float]) -> None:
        """In a new place, or in that of the least used."""
        if len(self.book) < codebook.PROTOTYPES:
            self.book.append(list(shape))
            self.uses.append(self.weight)
        else:
            place = self.uses.index(min(self.uses))
            self.book[place], self.uses[place] = list(shape), self.weight
