"""Anchoring: each frame in one interval, each interval on the chain once, whatever dies, is lost or reorganised."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from anchoring.batches import BatchedFrame
from anchoring.index import Index
from anchoring.proofs import Prover
from anchoring.registry import Registry
from anchoring.stage import Anchoring
from lading import topics
from lading.account import Account
from lading.batch import AnchorRecord, BatchRecord
from lading.chain import Chain
from lading.cose import KeySigner
from lading.errors import ProofError, ServiceError
from lading.evm import EvmNode
from lading.frame import NO_ANCHOR, NO_LEG, Frame, make_run, seal
from lading.log import Record, SqliteLog
from lading.sending import Fees, Sender
from lading.totals import EMPTY, Reading
from lading.tree import ZERO_HASH
from lading.wallet import Wallet
from tests.dying import Died, DyingLog, DyingRpc, Fuse, places_to_die

ANCHORER, DEPLOYER = Account.from_seed(b"anchorer"), Account.from_seed(b"deployer")
INTERVAL_MS = 60_000
TENANTS = ("demo", "north", "south")
SIGNERS = {name: KeySigner.from_seed(name.encode()) for name in TENANTS}
TENANT_OF = {signer.public.gateway_id: name for name, signer in SIGNERS.items()}


class DyingIndex(Index):
    """An index whose writes touch the fuse before and after."""

    fuse = Fuse()

    def add_interval(
        self, records: Sequence[BatchRecord], frames: Sequence[BatchedFrame], positions: Mapping[int, int]
    ) -> None:
        self.fuse.touch()
        super().add_interval(records, frames, positions)
        self.fuse.touch()

    def add_anchors(self, found: Sequence[Record], positions: Mapping[int, int]) -> None:
        self.fuse.touch()
        super().add_anchors(found, positions)
        self.fuse.touch()

    def set_cut_ms(self, time_ms: int) -> None:
        self.fuse.touch()
        super().set_cut_ms(time_ms)
        self.fuse.touch()


class Site:
    """A log, a chain with a registry, and the stage; time moves with `step`."""

    def __init__(
        self, folder: Path, auto_mine: bool = True, finalized_depth: int = 0, partitions: int = 1
    ) -> None:
        self.folder = folder
        self.now_ms = 1_700_000_000_000
        self.node = EvmNode(
            {one.address: 10**24 for one in (ANCHORER, DEPLOYER)},
            lambda: self.now_ms // 1000,
            safe_depth=finalized_depth // 2,
            finalized_depth=finalized_depth,
        )
        chain = Chain(self.node)
        self.registry = Wallet(chain, DEPLOYER).create(
            "AnchorRegistry", ANCHORER.address, DEPLOYER.address, 60
        )
        self.node.auto_mine = auto_mine
        self.log = SqliteLog(folder / "log.sqlite", partitions=partitions, now_ms=lambda: self.now_ms)
        self.told: list[tuple[int, list[str]]] = []
        self.sent = dict.fromkeys(TENANTS, 0)
        self.start(Fuse())

    def start(self, fuse: Fuse, restored_interval: int | None = None) -> None:
        """The stage, as after a start of its process."""
        chain = Chain(DyingRpc(self.node, fuse))
        self.sender = Sender(chain, ANCHORER, self.folder / "outbox.sqlite", Fees())
        self.index = DyingIndex(self.folder / "index.sqlite")
        self.index.fuse = fuse
        self.stage = Anchoring(
            DyingLog(self.log, fuse),
            Registry(chain, self.registry.address),
            self.sender,
            self.index,
            self.tenant_of,
            INTERVAL_MS,
            100,
            lambda anchor, tenants: self.told.append((anchor.interval, tenants)),
            restored_interval,
        )

    def stop(self) -> None:
        """As a crash leaves it."""
        self.sender.close()
        self.index.close()

    def tenant_of(self, gateway_id: bytes) -> str:
        """The tenants of this site's gateways; ServiceError for another's, as GatewayFile says it."""
        if gateway_id not in TENANT_OF:
            raise ServiceError("gateway_unknown", gateway_id.hex())
        return TENANT_OF[gateway_id]

    def take(self, tenant: str, count: int = 1) -> list[Frame]:
        """Frames of a tenant's gateway, each with three readings."""
        frames = []
        for _ in range(count):
            seq = self.sent[tenant]
            readings = [Reading(3 * seq + i, self.now_ms - 3000 + i, 5000 + i) for i in range(3)]
            run = make_run(1, 1, 3 * seq, bytes(16), readings, EMPTY)
            previous = bytes([1]) * 32 if seq else ZERO_HASH
            frames.append(seal(SIGNERS[tenant], NO_LEG, seq, previous, self.now_ms, NO_ANCHOR, [run]))
            self.sent[tenant] += 1
        self.log.append(topics.FRAMES, [(frame.header.gateway_id, frame.encode()) for frame in frames])
        return frames

    def step(self, passed_ms: int = INTERVAL_MS) -> list[AnchorRecord]:
        """Time passes; the stage steps."""
        self.now_ms += passed_ms
        return self.stage.step(self.now_ms)

    def batches(self) -> list[BatchRecord]:
        """What the log holds, by interval."""
        found = [BatchRecord.decode(record.value) for record in self.log.read(topics.BATCHES, {}, 1000)]
        return sorted(found, key=lambda record: (record.interval, record.batch_index))

    def anchored(self) -> list[int]:
        """The intervals that the chain has recorded, in order."""
        return [fields["interval"] for _, fields in self.registry.events("Anchored")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def check_whole(site: Site) -> None:
    """Every frame in the log is in exactly one batch, and has a proof to an anchored root."""
    covered: set[tuple[int, int]] = set()
    seen: set[int] = set()
    for record in site.batches():
        if record.interval not in seen:
            seen.add(record.interval)
            places = {(p, at) for p, first, last in record.positions for at in range(first, last + 1)}
            assert not covered & places, "a position in two intervals"
            covered |= places
    ends = site.log.end(topics.FRAMES)
    assert covered == {(partition, at) for partition, end in ends.items() for at in range(end)}
    assert sum(record.leaf.frame_count for record in site.batches()) == sum(site.sent.values())
    prover = Prover(site.log, site.index, site.tenant_of)
    for name, signer in SIGNERS.items():
        for seq in range(site.sent[name]):
            proof = prover.proof_of_frame(signer.public.gateway_id, seq)
            proof.check()
            assert proof.batch.tenant_name == name


def story(site: Site, run: Callable[[Callable[[], object]], None]) -> None:
    """Three intervals of two tenants and quiet steps; `run` may run each of the stage's steps more than once."""
    for count in (2, 3, 1):
        site.take("demo", count)
        site.take("north", 1)
        run(site.step)
        run(lambda: site.step(1000))
    for _ in range(3):
        run(lambda: site.step(1000))


def test_intervals_are_cut_when_due(site: Site) -> None:
    """Nothing without frames; at once the first time; then after the interval, or as soon as enough frames wait."""
    assert site.step() == []
    site.take("demo")
    site.step(1000)
    assert site.index.interval_last() == 1
    site.take("demo")
    site.step(1000)
    assert site.index.interval_last() == 1
    site.step(INTERVAL_MS)
    assert site.index.interval_last() == 2
    site.take("demo", 250)
    site.step(1000)
    assert site.index.interval_last() == 4, "two full intervals of 100, the rest waits"
    site.step()
    assert [record.leaf.frame_count for record in site.batches()] == [1, 1, 100, 100, 50]
    check_whole(site)


@pytest.mark.parametrize("partitions", [1, 3])
def test_every_frame_is_anchored_and_proven(tmp_path: Path, partitions: int) -> None:
    """Frames and readings of two tenants, over one log partition or several, have proofs up to finalized anchors."""
    site = Site(tmp_path, partitions=partitions)
    story(site, lambda step: step() and None)
    assert site.anchored() == [1, 2, 3]
    check_whole(site)
    prover = Prover(site.log, site.index, site.tenant_of)
    gateway_id = SIGNERS["demo"].public.gateway_id
    proof = prover.proof_of_reading(gateway_id, 4, 1, 13)
    proof.check()
    assert proof.frame_proof.anchor is not None
    assert proof.frame_proof.anchor.state == "finalized"
    with pytest.raises(ProofError, match="no_reading"):
        prover.proof_of_reading(gateway_id, 4, 1, 15)
    with pytest.raises(ProofError, match="no_reading"):
        prover.proof_of_reading(gateway_id, 4, 2, 13)
    with pytest.raises(ProofError, match="not_anchored"):
        prover.proof_of_frame(gateway_id, 99)


def test_anchor_states_follow_the_chain(tmp_path: Path) -> None:
    """pending, mined, safe, finalized are written as they come; a reorganisation goes back to pending."""
    site = Site(tmp_path, auto_mine=False, finalized_depth=4)
    site.take("demo")
    states: list[str] = []

    def go() -> None:
        states.extend(record.state for record in site.step(1000))

    go()
    site.node.mine()
    go()
    site.node.reorganise(1)
    go()
    for _ in range(5):
        site.node.mine()
        go()
    assert states == ["pending", "mined", "pending", "mined", "safe", "finalized"]
    written = [AnchorRecord.decode(r.value).state for r in site.log.read(topics.ANCHORS, {}, 100)]
    assert written == states
    assert site.told == [(1, ["demo"])]
    assert site.anchored() == [1]


def test_one_interval_is_on_its_way_at_a_time(tmp_path: Path) -> None:
    """The registry takes intervals in order, so the next is sent once the one before is mined."""
    site = Site(tmp_path, auto_mine=False)
    for _ in range(3):
        site.take("demo")
        site.step()
    assert len(site.sender.open_intents()) == 1
    for _ in range(4):
        site.node.mine()
        site.step(1000)
    assert site.anchored() == [1, 2, 3]
    check_whole(site)


def test_unknown_gateway_waits_and_is_not_left_out(site: Site) -> None:
    """A frame whose tenant is not known yet stops the cut; nothing is written, and it is taken when it is known."""
    site.take("demo")
    TENANT_OF.pop(SIGNERS["demo"].public.gateway_id)
    try:
        with pytest.raises(ServiceError, match="gateway_unknown"):
            site.step()
        assert site.batches() == []
    finally:
        TENANT_OF[SIGNERS["demo"].public.gateway_id] = "demo"
    site.step()
    check_whole(site)


def test_foreign_interval_in_the_log_stops_the_stage(site: Site) -> None:
    """Two processes cutting one log would show as an interval that does not follow: nothing is anchored from it."""
    site.take("demo", 2)
    site.step()
    (record,) = site.batches()
    other = replace(record, leaf=replace(record.leaf, frame_count=1))
    site.log.append(topics.BATCHES, [(other.leaf.tenant, other.encode())])
    with pytest.raises(ServiceError, match="batch_log"):
        site.step()


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("left", [[0], [1], [2], [0, 2], [1, 2], [0, 1, 2], [1, 1, 0]])
def test_an_interval_that_is_incomplete_in_the_log(tmp_path: Path, partitions: int, left: list[int]) -> None:
    """A crash amid an interval's records leaves some of them: what is missing is appended, as it would have been."""
    calm, site = (
        Site(_folder(tmp_path, "calm"), partitions=partitions),
        Site(_folder(tmp_path, "torn"), partitions=partitions),
    )
    for one in (calm, site):
        for tenant in TENANTS:
            one.take(tenant, 3)
        one.step()
        for tenant in TENANTS:
            one.take(tenant, 2)
    calm.step()
    cut = [record for record in calm.batches() if record.interval == 2]
    site.log.append(topics.BATCHES, [(cut[n].leaf.tenant, cut[n].encode()) for n in left])
    site.step()
    site.step()
    assert sorted({r.encode() for r in site.batches()}) == sorted(r.encode() for r in calm.batches())
    assert len(site.batches()) == len(calm.batches()) + len(left) - len(set(left))
    assert site.anchored() == [1, 2]
    for record in cut:  # what a request of the killed process brings in late
        site.log.append(topics.BATCHES, [(record.leaf.tenant, record.encode())])
    site.take("demo")
    site.step()
    assert site.anchored() == [1, 2, 3]
    site.stop()
    (site.folder / "index.sqlite").unlink()
    site.start(Fuse())
    site.step()
    assert site.index.interval_last() == 3


def test_an_incomplete_interval_of_other_frames(site: Site) -> None:
    """What is there must be what its positions give: else nothing is completed, and nothing anchored."""
    for tenant in TENANTS:
        site.take(tenant, 2)
    site.step()
    first = site.batches()[0]
    for tenant in TENANTS:
        site.take(tenant, 1)
    wrong = replace(first, interval=2, positions=((0, 6, 7),))
    site.log.append(topics.BATCHES, [(wrong.leaf.tenant, wrong.encode())])
    with pytest.raises(ServiceError, match="not what its frames give"):
        site.step()
    assert site.anchored() == [1]


def test_lost_index_and_outbox_are_made_again(site: Site) -> None:
    """Without its own files the stage finds the same intervals and anchors, sends nothing twice, and goes on."""
    site.take("demo", 2)
    site.step()
    before = site.index.anchor(1)
    site.stop()
    for path in [*site.folder.glob("index.sqlite*"), *site.folder.glob("outbox.sqlite*")]:
        path.unlink()
    site.start(Fuse())
    site.take("north")
    site.step()
    site.step(1000)
    assert site.index.anchor(1) == before
    assert site.anchored() == [1, 2]
    check_whole(site)


def test_refused_beside_a_lost_outbox_is_followed_on(tmp_path: Path) -> None:
    """The outbox is lost while its transaction waits: the second is refused, and the first one's anchor is taken."""
    site = Site(tmp_path, auto_mine=False, finalized_depth=2)
    site.take("demo")
    site.step()
    site.stop()
    for path in site.folder.glob("outbox.sqlite*"):
        path.unlink()
    site.start(Fuse())
    for _ in range(8):
        site.step(1000)
        site.node.mine()
    site.step(1000)
    anchor = _anchor(site, 1)
    assert anchor is not None
    assert anchor.state == "finalized"
    (event,) = site.registry.events("Anchored")
    assert (event[0].tx_hash, event[0].block_hash) == (anchor.tx_hash, anchor.block_hash)
    intent = site.sender.newest("anchor/1")
    assert intent is not None
    assert intent.state == "reverted"
    assert intent.tx_hash != anchor.tx_hash


@pytest.mark.slow
def test_death_at_every_write(tmp_path: Path) -> None:
    """Killed before or after any write or request: the same batches as undisturbed, anchored once each."""
    calm = Site(_folder(tmp_path, "calm"))
    fuse = Fuse()
    calm.stop()
    calm.start(fuse)
    story(calm, lambda step: step() and None)
    calm.stop()
    for die_at in places_to_die(fuse):
        site = Site(_folder(tmp_path, str(die_at)))
        site.stop()
        site.start(Fuse(die_at))

        def until_done(step: Callable[[], object], site: Site = site) -> None:
            now_ms = site.now_ms
            try:
                step()
            except Died:
                site.stop()
                site.start(Fuse())
                site.now_ms = now_ms
                step()

        story(site, until_done)
        assert site.batches() == calm.batches(), die_at
        assert site.anchored() == [1, 2, 3], die_at
        assert [site.index.anchor(n) for n in (1, 2, 3)] == [_anchor(calm, n) for n in (1, 2, 3)], die_at
        check_whole(site)
        site.stop()


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _anchor(site: Site, interval: int) -> AnchorRecord | None:
    index = Index(site.folder / "index.sqlite")
    try:
        return index.anchor(interval)
    finally:
        index.close()


def test_a_lost_log_is_not_anchored_from_its_middle(tmp_path: Path) -> None:
    """With an index of another log, the first frames would be taken for anchored ones and left out in silence."""
    site = Site(tmp_path)
    site.take("demo", 3)
    site.step()
    site.stop()
    site.log = SqliteLog(tmp_path / "new.sqlite", now_ms=lambda: site.now_ms)
    with pytest.raises(ServiceError, match="log_lost"):
        site.start(Fuse())


def behind_the_chain(site: Site) -> None:
    """The log as it was after interval 1, while the registry has 3."""
    site.take("demo")
    site.step()
    copy = site.folder / "copy.sqlite"
    with closing(sqlite3.connect(site.folder / "log.sqlite")) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)
    for _ in range(2):
        site.take("demo")
        site.step()
    assert site.anchored() == [1, 2, 3]
    site.stop()
    for path in [*site.folder.glob("index.sqlite*"), *site.folder.glob("outbox.sqlite*")]:
        path.unlink()
    site.log = SqliteLog(copy, now_ms=lambda: site.now_ms)


def test_a_log_behind_the_chain_is_not_anchored(site: Site) -> None:
    """Whoever put an old log there, and did not say so, would fork the history unseen."""
    behind_the_chain(site)
    site.start(Fuse())
    site.take("demo")
    with pytest.raises(ServiceError, match="anchors_ahead"):
        site.step()
    assert site.anchored() == [1, 2, 3]


def test_a_restored_log_goes_on_after_what_the_chain_has(site: Site) -> None:
    """The next interval is the registry's next; killed and begun anew without an index it stays so."""
    behind_the_chain(site)
    site.start(Fuse(), restored_interval=1)
    site.take("demo")
    site.step()
    site.step()
    assert site.anchored() == [1, 2, 3, 4]
    assert [batch.interval for batch in site.batches()] == [1, 4]
    site.stop()
    for path in site.folder.glob("index.sqlite*"):
        path.unlink()
    site.start(Fuse())
    site.take("demo")
    site.step()
    site.step()
    assert site.anchored() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("frame_seq", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_gateway_may_number_its_frames_as_it_likes(site: Site, frame_seq: int) -> None:
    """frame_seq is a u64 that the gateway chooses: no number stops the anchoring of all tenants."""
    frame = seal(SIGNERS["demo"], NO_LEG, frame_seq, bytes([1]) * 32, site.now_ms, NO_ANCHOR, [])
    site.log.append(topics.FRAMES, [(frame.header.gateway_id, frame.encode())])
    site.take("north")
    site.step()
    assert site.anchored() == [1]
    place = site.index.place(frame.header.gateway_id, frame_seq)
    assert place is not None
    assert (place.interval, place.leaf_index) == (1, 0)
