"""Many frames' bytes and signatures checked at once; what fails is named by the pure decoder."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from ingest.admission import Peeked, check_beginnings, check_follows, check_limits
from lading.decoding import decode_frame
from lading.errors import LadingError, RejectedError
from lading.fast import Head, check_frames
from lading.limits import Limits
from lading.signatures import Claim, Signatures

SIGNATURES_A_TASK = 128


@dataclass(frozen=True, slots=True)
class Sound:
    """A frame that decodes. `follows`: also from the predecessor's signed totals, where that was at hand."""

    head: Head
    signature: bytes
    digest: bytes
    follows: bool


def check_bytes(
    frames: Sequence[bytes], heads: Sequence[Head], limits: Mapping[bytes, bytes]
) -> list[Sound | LadingError]:
    """Each frame's strict decoding, roots and fold; the error where the decoding fails."""
    if not frames:
        return []
    checked = check_frames(frames, heads, limits)
    found: list[Sound | LadingError] = []
    for row, data in enumerate(frames):
        if checked.whole[row]:
            found.append(
                Sound(
                    checked.head(row),
                    checked.signatures[row].tobytes(),
                    checked.digests[row].tobytes(),
                    bool(checked.follows[row]),
                )
            )
        else:
            found.append(_why_not(data))
    return found


def _why_not(data: bytes) -> LadingError:
    try:
        decode_frame(data)
    except LadingError as exc:
        return exc
    raise AssertionError(f"the batched check refuses what decodes: {data.hex()[:4096]}")


def check_signatures(
    claims: Sequence[Claim], signatures: Signatures, pool: Executor
) -> list[RejectedError | None]:
    """Each claim's answer: None, or why not. Many are spread over the pool's threads."""
    if len(claims) <= SIGNATURES_A_TASK:
        return signatures.check(claims)
    slices = [claims[at : at + SIGNATURES_A_TASK] for at in range(0, len(claims), SIGNATURES_A_TASK)]
    return [result for found in pool.map(signatures.check, slices) for result in found]


def why_not_following(
    data: bytes, frame: Peeked, before: Head | None, limits: Limits | None
) -> LadingError | None:
    """The pure check of a frame that the batched one did not pass: the error, or None when it follows all the same.

    Without the frame before (`before` None, frame_seq not 0) only its limits and its beginnings can be checked.
    """
    decoded = decode_frame(data)
    try:
        if frame.frame_seq and before is None:
            check_limits(decoded, limits)
            check_beginnings(decoded, limits)
        else:
            check_follows(decoded, before, limits)
    except RejectedError as exc:
        return exc
    return None
