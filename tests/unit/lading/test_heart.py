"""Promises: a loop that hangs, a step that fails and a part that is missing each show, and by name."""

from lading.errors import ServiceError
from lading.heart import Heart, Lookout


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def down() -> str:
    """A log that does not answer."""
    raise ServiceError("log_failed", "disk I/O error")


def test_nothing_is_ready_before_the_first_step() -> None:
    """A stage that only begins is alive, and not ready."""
    heart = Heart("anomaly")
    assert heart.is_alive()
    assert heart.reasons() == {"step": "none has succeeded yet"}
    heart.stepped()
    assert heart.reasons() == {}


def test_a_failing_step_is_named_until_one_succeeds() -> None:
    """Its code and reason; afterwards it stays as the last failure, with its age."""
    clock = Clock()
    heart = Heart("anomaly", monotonic_s=clock)
    heart.stepped()
    heart.failed(ServiceError("chain_down", "connection refused"))
    assert heart.reasons() == {"step": "chain_down: connection refused"}
    assert heart.is_alive()
    clock.now_s += 7
    heart.stepped()
    assert heart.document() == {
        "stage": "anomaly",
        "ready": True,
        "not_ready": {},
        "up_s": 7,
        "step_age_s": 0,
        "step_limit_s": 300,
        "last_failure": {"code": "chain_down", "reason": "connection refused", "age_s": 7},
    }


def test_a_missing_part_is_named_and_asked_at_most_so_often() -> None:
    """Probes are asked by the loop; an error is a reason; while all is well they cost little."""
    clock, asked = Clock(), []

    def broker() -> str:
        asked.append(clock.now_s)
        return "not connected"

    heart = Heart("ingest", {"broker": broker, "log": down}, tend_s=2, monotonic_s=clock)
    for _ in range(16):
        heart.stepped()
        clock.now_s += 0.25
    assert asked == [100, 102]
    assert heart.reasons() == {"broker": "not connected", "log": "log_failed: disk I/O error"}


def test_figures_that_cannot_be_had_are_a_reason() -> None:
    """Gauges that are no longer set would else look as if nothing changed."""
    heart = Heart("settle", measure=down)  # type: ignore[arg-type]
    heart.stepped()
    assert heart.reasons() == {"figures": "log_failed: disk I/O error"}


def test_a_loop_that_hangs_is_not_alive() -> None:
    """Past the limit without a turn; a loop that waits and says so is alive."""
    clock = Clock()
    heart = Heart("edge", step_limit_s=10, monotonic_s=clock)
    heart.stepped()
    clock.now_s += 10
    assert heart.is_alive()
    heart.beat()
    clock.now_s += 11
    assert not heart.is_alive()
    assert heart.reasons() == {"loop": "last turned 11 s ago, wanted 10"}


def test_what_a_lookout_found_is_told_without_asking() -> None:
    """The loop's heart reads the last answers; nobody is asked before another thread looks again."""
    asked: list[str] = []
    answers = ["", "no broker"]

    def broker() -> str:
        asked.append("broker")
        return answers[len(asked) - 1]

    def figures() -> None:
        down()

    lookout = Lookout({"broker": broker, "log": down}, figures)
    heart = Heart("ingest", lookout.probes(), tend_s=0)
    heart.stepped()
    assert (heart.reasons(), asked) == ({}, [])
    lookout.look()
    lookout.look()
    heart.stepped()
    assert asked == ["broker", "broker"]
    lost = "log_failed: disk I/O error"
    assert heart.reasons() == {"broker": "no broker", "log": lost, "log_figures": lost}
