"""A leg's evidence is made from the log alone, and every check that needs no chain passes on it."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lading import topics
from lading.assignment import sign_assignment
from lading.batch import BatchRecord
from lading.cli import cli
from lading.errors import ServiceError
from lading.evidence import Evidence
from lading.export import export_leg, find_leg, orders
from lading.gateways import GatewayEntry, GatewayFile, save_gateways
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.settlement import Settlement
from lading.terms_v1 import TermsV1
from lading.tiers import Metric, Tier
from lading.verify import EXIT_GOOD, Expected, verify
from tests.unit.lading.evidence_world import (
    GATEWAY,
    OPERATOR,
    OTHER_GATEWAY,
    TENANT,
    THIEF,
    World,
    anchored,
    evidence_of,
    make_world,
)

NOW_MS = 1_767_400_000_000


@pytest.fixture
def gateways(tmp_path: Path) -> GatewayFile:
    path = tmp_path / "gateways.json"
    save_gateways(path, [GatewayEntry(signer.public, TENANT) for signer in (GATEWAY, OTHER_GATEWAY)])
    return GatewayFile(path)


def logged(tmp_path: Path, world: World, *, anchors: int = 3) -> SqliteLog:
    """The log of a world: what ingest, detector and anchoring would have written."""
    log = SqliteLog(tmp_path / "log.sqlite")
    log.append(topics.ASSIGNMENTS, [(world.begin.gateway, sign_assignment(world.begin, OPERATOR))])
    foreign = replace(world.begin, tenant=tenant_id("north"), reference="FOREIGN-1")
    log.append(topics.ASSIGNMENTS, [(world.begin.gateway, sign_assignment(foreign, THIEF))])
    for number, one in enumerate(anchored(world)):
        places = log.append(topics.FRAMES, [(f.header.gateway_id, f.encode()) for f in one.frames])
        positions = ((0, places[0][1], places[-1][1]),)
        record = BatchRecord(
            one.leaf, TENANT, one.anchor.interval, positions, one.index, one.count, one.siblings
        )
        log.append(topics.BATCHES, [(one.leaf.tenant, record.encode())])
        mined = replace(one.anchor, state="mined")
        states = [mined, one.anchor] if number < anchors else []
        log.append(topics.ANCHORS, [(bytes(8), anchor.encode()) for anchor in states])
    log.append(topics.CLONES, [(clone.headers()[0].gateway_id, clone.encode()) for clone in world.clones])
    return log


@pytest.mark.parametrize("clone", [False, True])
def test_export_passes_every_offline_check(tmp_path: Path, gateways: GatewayFile, clone: bool) -> None:
    world = make_world(clone=clone)
    data = export_leg(logged(tmp_path, world), gateways, OPERATOR.public, world.begin.leg_id, NOW_MS)
    expected = Expected(GATEWAY.public.gateway_id, OPERATOR.public.encode())
    assert verify(data, expected).exit_code(strict=True) == EXIT_GOOD
    assert Evidence.decode(data) == evidence_of(world, end_message=None, exported_ms=NOW_MS)


def test_what_is_not_anchored_yet_is_left_out(tmp_path: Path, gateways: GatewayFile) -> None:
    """The file says so: it is not complete."""
    world = make_world()
    data = export_leg(
        logged(tmp_path, world, anchors=2), gateways, OPERATOR.public, world.begin.leg_id, NOW_MS
    )
    report = verify(data, Expected())
    assert {result.name for result in report.results if result.status == "FAIL"} == {"completeness"}
    assert len(Evidence.decode(data).frames) == 3


def test_nothing_anchored(tmp_path: Path, gateways: GatewayFile) -> None:
    world = make_world()
    log = logged(tmp_path, world, anchors=0)
    with pytest.raises(ServiceError, match="not_anchored"):
        export_leg(log, gateways, OPERATOR.public, world.begin.leg_id, NOW_MS)


def test_a_leg_is_found_by_reference_and_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    world = make_world()
    begun = orders(logged(tmp_path, world), OPERATOR.public)
    leg_id = world.begin.leg_id
    for text in ("SHIPMENT-1", leg_id.hex(), leg_id.hex()[:8], "0x" + leg_id.hex()[:12].upper()):
        assert find_leg(begun, text) == leg_id
    for text in ("SHIPMENT", leg_id.hex()[:7], "FOREIGN-1", "", "00" * 32):
        with pytest.raises(ServiceError, match="leg_unknown"):
            find_leg(begun, text)


def test_a_leg_of_two_gateways_is_exported_of_the_one_named(tmp_path: Path, gateways: GatewayFile) -> None:
    """A leg may go on at another gateway under the same id: which of the two is never guessed."""
    world, other = make_world(), OTHER_GATEWAY.public.gateway_id
    log = SqliteLog(tmp_path / "log.sqlite")
    handed_over = replace(world.begin, gateway=other)
    log.append(topics.ASSIGNMENTS, [(other, sign_assignment(handed_over, OPERATOR))])
    log.close()
    log = logged(tmp_path, world)
    with pytest.raises(ServiceError, match="leg_gateway"):
        export_leg(log, gateways, OPERATOR.public, world.begin.leg_id, NOW_MS)
    data = export_leg(log, gateways, OPERATOR.public, world.begin.leg_id, NOW_MS, GATEWAY.public.gateway_id)
    assert verify(data, Expected()).exit_code(strict=True) == EXIT_GOOD


def test_what_others_settled_under_the_leg_id_is_left_out(tmp_path: Path, gateways: GatewayFile) -> None:
    """A leg id is no secret: another tenant's agreement over it would fail the `settlement` check of this leg."""
    world = make_world()
    log = logged(tmp_path, world)
    terms = TermsV1(
        bytes(19) + b"\1", bytes(19) + b"\2", bytes(19) + b"\3", tenant_id("north"), bytes(32), world.begin.leg_id,
        bytes(32), 0, 1, 2, 3600, 1000, 7, (Tier(0, Metric.SILENCE_MS, 0, 500),),
    )  # fmt: skip
    strange = Settlement(
        bytes(32),
        world.begin.leg_id,
        bytes(20),
        31337,
        terms.encode(),
        "penalty",
        500,
        bytes(32),
        200,
        bytes(32),
        1,
    )
    log.append(topics.SETTLEMENTS, [(strange.agreement, strange.encode())])
    data = export_leg(log, gateways, OPERATOR.public, world.begin.leg_id, NOW_MS)
    assert verify(data, Expected()).exit_code(strict=True) == EXIT_GOOD
    assert Evidence.decode(data).settlements == ()


def test_a_gateway_that_went_to_another_tenant_does_not_spoil_the_batches_before(
    tmp_path: Path, gateways: GatewayFile
) -> None:
    """The gateways' file is another now: the export says so, rather than write a file that no one can check."""
    world = make_world()
    log = logged(tmp_path, world)
    entries = [GatewayEntry(GATEWAY.public, TENANT), GatewayEntry(OTHER_GATEWAY.public, "north")]
    save_gateways(tmp_path / "gateways.json", entries)
    with pytest.raises(ServiceError, match="batch_log"):
        export_leg(log, gateways, OPERATOR.public, world.begin.leg_id, NOW_MS)


def test_command(tmp_path: Path, gateways: GatewayFile) -> None:
    """From the settings file alone: list the legs, export one by its reference, check it."""
    logged(tmp_path, make_world()).close()
    OPERATOR.save(tmp_path / "operator.pem")
    (tmp_path / "lading.toml").write_text('[lading]\ntenant = "demo"\ndata = "."\n')
    config, output = str(tmp_path / "lading.toml"), tmp_path / "leg.evidence"
    listed = CliRunner().invoke(cli, ["evidence", "list", "--config", config])
    assert "SHIPMENT-1" in listed.output
    assert "FOREIGN-1" not in listed.output
    done = CliRunner().invoke(
        cli, ["evidence", "export", "SHIPMENT-1", "-o", str(output), "--config", config]
    )
    assert done.exit_code == 0, done.output
    assert verify(output.read_bytes(), Expected()).exit_code(strict=True) == EXIT_GOOD
