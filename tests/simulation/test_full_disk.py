"""Disks that fill up to the last block while legs are on their way, and are relieved again."""

import os
from pathlib import Path

import pytest

from tests.simulation.drill import SPEED, Drill, undisturbed
from tests.simulation.full_disk import FullDisk, small_disk
from tests.simulation.installation import Installation
from tests.simulation.outcome import differences
from tests.simulation.parts import ServerPart
from tests.simulation.services import STAGES

SEED = int(os.environ.get("LADING_TEST_SEED", "1"))
SLOW = (
    4.0  # how much slower than in the crash drill gateways sample: they do so all the while the disk is full
)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_full_data_disk_loses_nothing(tmp_path: Path) -> None:
    """Log, states, archive, the stores of broker and chain on a full disk: named errors, then all as if undisturbed.

    Gateways have a disk of their own: tests/unit/edge says what they do on a full one.
    """
    calm = undisturbed(tmp_path / "undisturbed", SEED, 1, print)
    folder = tmp_path / "disturbed"
    with small_disk(folder / "data", 256), small_disk(folder / "data/edge", 256):
        site = Installation(folder, SEED, SPEED / SLOW, is_real=False)
        logs = [folder / f"{name}.log" for name in ("broker", *STAGES)]
        disk = FullDisk(site.data, logs, ["ingest"])
        found = Drill(site, disk, 1, print).run()
    print({name: dict(codes) for name, codes in disk.codes.items()})
    assert not (said := differences(found, calm)), "\n".join(said)
    assert disk.codes["ingest"]["log_full"], disk.codes


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_full_disk_of_kafka_loses_nothing(tmp_path: Path) -> None:
    """Kafka gives its folder up, and ends. Stages wait with named errors; started again with room, all is there.

    Whoever supervises Kafka starts it again, as the composed installation does.
    """
    calm = undisturbed(tmp_path / "undisturbed", SEED, 1, print)
    folder = tmp_path / "disturbed"
    with small_disk(folder / "kafka/data", 256):
        site = Installation(folder, SEED, SPEED / SLOW, is_real=True)
        log = site.services.parts["log"]
        assert isinstance(log, ServerPart)
        log.may_end = True
        disk = FullDisk(
            folder / "kafka/data", [folder / f"{name}.log" for name in site.stages], ["anchoring"]
        )
        found = Drill(site, disk, 1, print).run()
    print(
        {name: dict(codes) for name, codes in disk.codes.items()}, f"Kafka started again {log.restarts} times"
    )
    assert not (said := differences(found, calm)), "\n".join(said)
    assert log.restarts, "Kafka did not notice that its disk was full"
