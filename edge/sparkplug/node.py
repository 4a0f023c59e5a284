"""One edge node as a host application hears it: births, order of messages, deaths. No clock, no link."""

from collections.abc import Callable
from typing import NamedTuple

from edge.sparkplug.payload import INT, LONG, Metric, Payload
from edge.sparkplug.values import Sensor
from lading.errors import LadingError, MalformedError, RejectedError

SEQ_COUNT = 256
AHEAD_MAX = 64  # messages that may overtake one that is awaited
WAITING_METRICS_MAX = 8_192  # of those messages together
SESSIONS_MAX = 4  # sessions that were followed by another one before they died
TWINS_MS = 60_000
BD_SEQ = "bdSeq"
WRAPPED = "DATA/"  # mqtt-spb-wrapper has it before the names in births, and not before those in data

NBIRTH, NDEATH, NDATA = "NBIRTH", "NDEATH", "NDATA"
DBIRTH, DDEATH, DDATA = "DBIRTH", "DDEATH", "DDATA"
NODE_KINDS, DEVICE_KINDS = (NBIRTH, NDEATH, NDATA), (DBIRTH, DDEATH, DDATA)


class Known(NamedTuple):
    """A metric of a birth, and the sensor it is in the settings."""

    name: str
    datatype: int
    sensor: Sensor | None


class Said(NamedTuple):
    """One metric of a message that counts. `time_ms` falls back on the message's; None where neither says."""

    known: Known
    metric: Metric
    time_ms: int | None
    is_birth: bool


class Scope(NamedTuple):
    """What the node itself, or one of its devices, was born with."""

    by_name: dict[str, Known]
    by_alias: dict[int, Known]


class Heard(NamedTuple):
    """The metrics that count, and why others do not."""

    said: list[Said]
    problems: list[LadingError]


class _Message(NamedTuple):
    kind: str
    device: str
    payload: Payload


class Node:
    """Messages in, metrics out. A LadingError `sparkplug_…` says why a message does not count.

    `find` gives the sensor of a metric by (device, name), `has` whether a device is of interest; the node itself is
    the device "". After whatever leaves the meaning of aliases in doubt nothing counts until the next birth, and
    `wants_birth` is True.
    """

    def __init__(
        self, find: Callable[[str, str], Sensor | None], has: Callable[[str], bool], reorder_ms: int
    ) -> None:
        self._find = find
        self._has = has
        self._reorder_ms = reorder_ms
        self._scopes: dict[str, Scope] = {}
        self._next_seq: int | None = None  # None: not born
        self._bd_seq = -1
        self._undead: list[int] = []  # sessions that another followed
        self._twins_until_ms = 0
        self._waiting: dict[int, _Message] = {}
        self._deadline_ms: int | None = None
        self._last: _Message | None = None
        self.wants_birth = False

    @property
    def is_born(self) -> bool:
        """True between a birth and whatever ends it."""
        return self._next_seq is not None

    def forget(self) -> None:
        """Nothing that was said before counts any more."""
        self._end()
        self._undead.clear()
        self.wants_birth = True

    def take(self, kind: str, device: str, payload: Payload, now_ms: int) -> Heard:
        """The metrics that count now: this message's, and those of messages that had overtaken it."""
        heard = Heard([], [])
        try:
            if kind == NBIRTH:
                self._be_born(payload, now_ms, heard)
            elif kind == NDEATH:
                self._die(payload, heard)
            else:
                self._go_on(_Message(kind, device, payload), now_ms, heard)
            if now_ms < self._twins_until_ms:
                heard.said.clear()
                raise RejectedError(
                    "sparkplug_twins", "a session is back after another: two nodes of one name?"
                )
        except LadingError as exc:
            heard.problems.append(exc)
        return heard

    def check(self, now_ms: int) -> None:
        """RejectedError `sparkplug_seq` when an awaited message did not come in time."""
        if self._deadline_ms is not None and now_ms >= self._deadline_ms:
            awaited, count = self._next_seq, len(self._waiting)
            self._lose()
            raise RejectedError(
                "sparkplug_seq", f"message {awaited} did not come, {count} after it do not count"
            )

    # Births and deaths

    def _be_born(self, payload: Payload, now_ms: int, heard: Heard) -> None:
        self._end()
        self.wants_birth = True  # unless all goes well
        if payload.seq is None or payload.seq >= SEQ_COUNT:
            raise MalformedError("sparkplug_seq", f"a birth with {payload.seq}, wanted 0..{SEQ_COUNT - 1}")
        bd_seq = _bd_seq(payload)
        heard.said.extend(self._introduce("", payload))
        self._follow(bd_seq, now_ms)
        self._next_seq = (payload.seq + 1) % SEQ_COUNT
        self.wants_birth = False

    def _follow(self, bd_seq: int, now_ms: int) -> None:
        """A session that comes back, undead, after another began is a second node of this name."""
        if bd_seq in self._undead:
            self._twins_until_ms = now_ms + TWINS_MS
        if self._bd_seq not in (-1, bd_seq):
            others = [one for one in self._undead if one != self._bd_seq]
            self._undead = [*others, self._bd_seq][-SESSIONS_MAX:]
        self._bd_seq = bd_seq

    def _die(self, payload: Payload, heard: Heard) -> None:
        """A death counts for the session it names; that of an earlier session may come after the next birth (5.4)."""
        bd_seq = _bd_seq(payload)
        if bd_seq in self._undead:
            self._undead.remove(bd_seq)
        if bd_seq == self._bd_seq:
            self._end()
            self._bd_seq = -1
            heard.problems.append(_dead(f"session {bd_seq}"))
        elif self._next_seq is not None:
            raise RejectedError("sparkplug_death", f"death of session {bd_seq}, this one is {self._bd_seq}")

    def _introduce(self, device: str, payload: Payload) -> list[Said]:
        """The metrics of a birth. Their meaning is kept for what the settings name."""
        scope, said = Scope({}, {}), []
        for metric in payload.metrics:
            known = self._known(device, metric)
            if scope.by_name.setdefault(known.name, known) != known:
                raise MalformedError("sparkplug_birth", f"metric {known.name[:60]!r} has two datatypes")
            if metric.alias is not None and scope.by_alias.setdefault(metric.alias, known) != known:
                raise MalformedError("sparkplug_birth", f"alias {metric.alias} stands for two metrics")
            said.append(Said(known, metric, _time_ms(metric, payload), True))
        self._scopes[device] = scope
        return said

    def _known(self, device: str, metric: Metric) -> Known:
        if metric.name is None or metric.datatype is None:
            raise MalformedError("sparkplug_birth", "a metric without name or datatype")
        return Known(metric.name, metric.datatype, self._find(device, metric.name))

    # Order

    def _go_on(self, message: _Message, now_ms: int, heard: Heard) -> None:
        """Heed the message if its turn has come, and those that waited for it. Else it waits, or the order is lost."""
        seq, awaited = message.payload.seq, self._next_seq
        if awaited is None:
            self.wants_birth = True
            raise RejectedError("sparkplug_unborn", f"{message.kind} before a birth")
        if seq is None or seq >= SEQ_COUNT:
            raise MalformedError("sparkplug_seq", f"{seq}, wanted 0..{SEQ_COUNT - 1}")
        if message == self._last:
            return  # delivered twice
        if seq != awaited:
            self._wait(message, (seq - awaited) % SEQ_COUNT, now_ms)
            return
        ready: _Message | None = message
        while ready is not None:
            self._last, awaited = ready, (awaited + 1) % SEQ_COUNT
            self._heed(ready, heard)
            ready = self._waiting.pop(awaited, None)
        self._next_seq = awaited
        self._deadline_ms = now_ms + self._reorder_ms if self._waiting else None

    def _wait(self, message: _Message, ahead: int, now_ms: int) -> None:
        seq = (self._next_seq or 0) + ahead
        waiting = sum(len(other.payload.metrics) for other in self._waiting.values())
        if (
            ahead > AHEAD_MAX
            or waiting + len(message.payload.metrics) > WAITING_METRICS_MAX
            or self._waiting.setdefault(seq % SEQ_COUNT, message) != message
        ):
            awaited = self._next_seq
            self._lose()
            raise RejectedError("sparkplug_seq", f"message {seq % SEQ_COUNT}, wanted {awaited}")
        if self._deadline_ms is None:
            self._deadline_ms = now_ms + self._reorder_ms

    def _heed(self, message: _Message, heard: Heard) -> None:
        kind, device, payload = message
        if not self._has(device):
            return
        if kind in (DBIRTH, DDEATH):
            self._scopes.pop(device, None)
        try:
            if kind == DBIRTH:
                heard.said.extend(self._introduce(device, payload))
            elif kind == DDEATH:
                heard.problems.append(_dead(f"device {device[:60]!r}"))
            else:
                self._listen(device, payload, heard)
        except LadingError as exc:
            heard.problems.append(exc)

    def _listen(self, device: str, payload: Payload, heard: Heard) -> None:
        scope = self._scopes.get(device)
        if scope is None:
            self.wants_birth = True
            raise RejectedError("sparkplug_unborn", f"data of device {device[:60]!r} before its birth")
        for metric in payload.metrics:
            try:
                known = self._recall(scope, metric)
            except RejectedError as exc:
                heard.problems.append(exc)
            else:
                heard.said.append(Said(known, metric, _time_ms(metric, payload), False))

    def _recall(self, scope: Scope, metric: Metric) -> Known:
        """By alias, else by name. Some publishers send both, with a name that is in no birth: the alias counts."""
        named = scope.by_name.get(metric.name) if metric.name is not None else None
        known = scope.by_alias.get(metric.alias) if metric.alias is not None else named
        if known is None and metric.alias is None:
            known = scope.by_name.get(f"{WRAPPED}{metric.name}")
        if known is None or named not in (None, known):
            self.wants_birth = True
            which = (
                f"alias {metric.alias}"
                if metric.alias is not None
                else f"metric {(metric.name or '')[:60]!r}"
            )
            raise RejectedError("sparkplug_metric", f"{which} is not what the birth named")
        return known

    def _lose(self) -> None:
        self._end()
        self.wants_birth = True

    def _end(self) -> None:
        self._scopes.clear()
        self._waiting.clear()
        self._next_seq = self._deadline_ms = self._last = None


def _dead(what: str) -> RejectedError:
    return RejectedError("sparkplug_dead", f"{what} died: nothing counts until the next birth")


def _time_ms(metric: Metric, payload: Payload) -> int | None:
    return payload.time_ms if metric.time_ms is None else metric.time_ms


def _bd_seq(payload: Payload) -> int:
    found = [metric.value for metric in payload.metrics if metric.name == BD_SEQ]
    if (
        len(found) != 1
        or found[0] is None
        or found[0].field not in (INT, LONG)
        or not isinstance(found[0].number, int)
    ):
        raise MalformedError("sparkplug_birth", f"wanted one integer metric {BD_SEQ}")
    if found[0].number >= SEQ_COUNT:
        raise MalformedError("sparkplug_birth", f"{BD_SEQ} {found[0].number}, wanted 0..{SEQ_COUNT - 1}")
    return found[0].number
