"""Calibration certificates on chain: how wrong a channel's sensor may be at a time, asked of the gateway registry."""

from collections.abc import Iterable

from lading.chain import LATEST, Chain, RevertedError
from lading.errors import ServiceError

CALIBRATION_AT = bytes.fromhex("e8e398e5")  # calibrationAt(bytes32,uint16,uint64)
CALIBRATION_UNKNOWN = bytes.fromhex("71417ec9")  # CalibrationUnknown(bytes32,uint16,uint64)
_ANSWER_BYTES = 128  # certificate, from, until, uncertainty


def uncertainties_at(
    chain: Chain,
    registry: bytes,
    gateway_id: bytes,
    channels: Iterable[int],
    event_ms: int,
    most_milli: int,
    tag: str | int = LATEST,
) -> tuple[tuple[int, int], ...]:
    """(channel, thousandths) of those channels whose certificate was valid then and is good enough, ascending."""
    found = []
    for channel in sorted(channels):
        milli = _uncertainty(chain, registry, gateway_id, channel, event_ms, tag)
        if milli is not None and milli <= most_milli:
            found.append((channel, milli))
    return tuple(found)


def _uncertainty(
    chain: Chain, registry: bytes, gateway_id: bytes, channel: int, event_ms: int, tag: str | int
) -> int | None:
    """None where the registry itself says that there is no certificate; any other failure is one here too."""
    data = CALIBRATION_AT + gateway_id + channel.to_bytes(32, "big") + event_ms.to_bytes(32, "big")
    try:
        answer = chain.call(registry, data, tag=tag)
    except RevertedError as exc:
        if exc.data[:4] == CALIBRATION_UNKNOWN:
            return None
        raise
    if len(answer) != _ANSWER_BYTES:
        raise ServiceError("calibration", f"0x{registry.hex()} does not answer as a gateway registry does")
    return int.from_bytes(answer[96:], "big")
