"""The stage's figures, over all gateways of the process."""

from collections.abc import Iterable

from edge.runner import Runner, Unopened
from lading import metrics


def measure(runners: list[Runner], outbox_bytes_max: int) -> None:
    """What is in the outboxes, and what has gone through them."""
    gateways = [runner.gateway for runner in runners]
    waiting = [gateway.outbox.waiting for gateway in gateways]
    metrics.EDGE_GATEWAYS.set(len(runners))
    metrics.EDGE_LINKS_UP.set(sum(runner.publisher.is_up for runner in runners))
    metrics.EDGE_READINGS.reach(sum(sum(gateway.taken.values()) for gateway in gateways))
    metrics.EDGE_READINGS_REFUSED.reach(sum(gateway.refused_count for gateway in gateways))
    metrics.EDGE_READINGS_PENDING.set(sum(gateway.pending_count for gateway in gateways))
    metrics.EDGE_FRAMES_SIGNED.reach(sum(gateway.frame_seq for gateway in gateways))
    metrics.EDGE_FRAMES_SENT.reach(sum(runner.publisher.sent_count for runner in runners))
    metrics.EDGE_FRAMES_ACKED.reach(sum(runner.publisher.acked_count for runner in runners))
    metrics.EDGE_OUTBOX_FRAMES.set(sum(one.count for one in waiting))
    metrics.EDGE_OUTBOX_BYTES.set(sum(one.bytes for one in waiting))
    metrics.EDGE_OUTBOX_FULL.set(max(one.bytes for one in waiting) / outbox_bytes_max)


def why_not_linked(runners: list[Runner]) -> str:
    """Gateways that the broker does not answer; "" when it answers all."""
    down = [runner.name for runner in runners if not runner.publisher.is_up]
    return f"not connected: {', '.join(down)}" if down else ""


def why_failing(runners: Iterable[Runner | Unopened]) -> str:
    """Gateways whose outbox takes nothing; "" when all do."""
    return "; ".join(f"{runner.name}: {runner.failing}" for runner in runners if runner.failing)
