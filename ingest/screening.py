"""What many candidates are held to at once, before any is to its past: size, gateway, bytes, times, signature."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ingest.admission import Peeked, check_gateway, check_validity, open_head
from ingest.checking import check_bytes, check_signatures
from ingest.known import Known
from ingest.refusals import Refusals
from ingest.turn import Candidate, Ready, Turn
from lading.errors import LadingError
from lading.gateways import GatewayEntry, Gateways
from lading.signatures import Signatures


class _Found(NamedTuple):
    candidate: Candidate
    frame: Peeked
    entry: GatewayEntry


class Screening:
    """Refuses what is not good, drops what was taken before. `threads` check signatures."""

    def __init__(
        self, gateways: Gateways, known: Known, refusals: Refusals, signatures: Signatures, threads: int
    ) -> None:
        self._gateways = gateways
        self._known = known
        self._refusals = refusals
        self._signatures = signatures
        self._pool = ThreadPoolExecutor(threads, "verify")

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()

    def screen(self, turn: Turn, candidates: Iterable[Candidate]) -> list[Ready]:
        """The candidates that are good, by gateway and frame_seq."""
        found = self._find(turn, candidates)
        found.sort(key=lambda one: (one.frame.gateway, one.frame.frame_seq))
        return self._check_signed(turn, self._check_bytes(turn, found))

    def _find(self, turn: Turn, candidates: Iterable[Candidate]) -> list[_Found]:
        found: list[_Found] = []
        entries: dict[bytes, GatewayEntry | None] = {}
        for candidate in candidates:
            try:
                frame = open_head(candidate.data)
                if frame.gateway not in entries:
                    entries[frame.gateway] = self._gateways.find(frame.gateway)
                entry = check_gateway(frame, entries[frame.gateway], candidate.tenant)
            except LadingError as exc:
                self._refusals.refuse_candidate(turn, candidate, exc)
                continue
            if self._known.hash_of(frame.gateway, frame.frame_seq) == frame.hash:
                turn.drop(candidate, frame)
            else:
                found.append(_Found(candidate, frame, entry))
        return found

    def _check_bytes(self, turn: Turn, found: list[_Found]) -> list[tuple[Ready, GatewayEntry]]:
        hashes = {frame.hash for _, frame, _ in found}
        before = {
            (frame.gateway, frame.frame_seq - 1)
            for _, frame, _ in found
            if frame.frame_seq and frame.previous_hash not in hashes
        }
        heads = [head for place in sorted(before) if (head := self._known.head_of(*place)) is not None]
        limits = dict(leg for _, frame, _ in found if (leg := self._known.limits_of(frame)) is not None)
        sounds = check_bytes([candidate.data for candidate, _, _ in found], heads, limits)
        ready: list[tuple[Ready, GatewayEntry]] = []
        for (candidate, frame, entry), sound in zip(found, sounds, strict=True):
            try:
                if isinstance(sound, LadingError):
                    raise sound
                check_validity(frame, sound.head.records, entry)
                ready.append((Ready(candidate, frame, sound), entry))
            except LadingError as exc:
                self._refusals.refuse_candidate(turn, candidate, exc)
        return ready

    def _check_signed(self, turn: Turn, found: list[tuple[Ready, GatewayEntry]]) -> list[Ready]:
        claims = [(entry.public, item.sound.digest, item.sound.signature) for item, entry in found]
        errors = check_signatures(claims, self._signatures, self._pool)
        ready: list[Ready] = []
        for (item, _), error in zip(found, errors, strict=True):
            if error is None:
                ready.append(item)
            else:
                self._refusals.refuse_candidate(turn, item.candidate, error)
        return ready
