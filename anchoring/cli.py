"""`lading anchoring …`: run the stage, a local chain, deploy the contracts, show anchors and proofs."""

import json
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from anchoring import contracts_cli, meters
from anchoring.index import Index
from anchoring.keys import ensure_keys
from anchoring.proofs import FrameProof, Prover, ReadingProof
from anchoring.registry import Registry
from anchoring.settings import all_key_paths, load
from anchoring.stage import Anchoring
from lading import logs
from lading.chain import FINALIZED, Chain, connect
from lading.errors import ServiceError
from lading.health import log_answers, watched
from lading.heart import Heart
from lading.log import wall_ms
from lading.onchain import chain_answers, open_deployment, open_sender
from lading.opening import open_gateways, open_log
from lading.process import results, stop_on_signals
from lading.restored import Restored
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config
from lading.wallet import Wallet

app = typer.Typer(
    help="Stage 4: batches, roots, the chain, proofs.", no_args_is_help=True, add_completion=False
)
app.add_typer(contracts_cli.app)

ETHER = 10**18
GENESIS_ETHER = 1_000
GIVE_ETHER_MAX = 100


@app.command()
def run(config: Config = CONFIG) -> None:
    """Cut, anchor and follow intervals, until SIGTERM or an interrupt."""
    logs.configure("anchoring")
    shared, own = load(config)
    stop = stop_on_signals()
    chain = connect(shared.chain.rpc)
    deployment = open_deployment(shared, chain, "anchors")
    sender = open_sender(shared, own, chain)
    announcer = _announcer(shared) if own.announce else None
    restored = Restored.load(shared.lading.data)
    source, index = open_log(shared), Index(shared.lading.below(own.index))
    stage = Anchoring(
        source,
        Registry(chain, deployment.anchors, deployment.block),
        sender,
        index,
        open_gateways(shared).tenant_of,
        int(own.interval_s * 1000),
        own.frames_max,
        announcer,
        restored.interval_last if restored else None,
    )
    probes = {"log": log_answers(source), "chain": chain_answers(chain)}
    with watched("anchoring", shared, own, probes, lambda: meters.measure(source, index, sender)) as heart:
        try:
            _loop(stage, stop, own.poll_s, heart)
        finally:
            sender.close()
            if announcer is not None:
                announcer.close()


def _loop(stage: Anchoring, stop: threading.Event, poll_s: float, heart: Heart) -> None:
    """Step until told to stop; a log or chain that fails is tried again a bounded number of times."""
    log = structlog.get_logger()
    log.info("anchoring_started")
    for changed in results(lambda: stage.step(wall_ms()), stop, poll_s, heart=heart):
        for anchor in changed:
            meters.count_anchor(anchor)
            log.info(
                "anchor",
                interval=anchor.interval,
                state=anchor.state,
                block=anchor.block_number,
                gas_used=anchor.gas_used,
                tx="0x" + anchor.tx_hash.hex(),
            )
        stop.wait(poll_s)


def _announcer(shared: Shared) -> Any:
    from anchoring.announcing import Announcer  # paho only where anchors are announced
    from lading.mqtt import broker_of

    return Announcer(broker_of(shared, "anchoring"), f"lading-anchoring-{shared.lading.tenant}")


@app.command()
def chain(
    config: Config = CONFIG,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8545,
    store: Annotated[Path, typer.Option(help="Blocks, below `data` unless absolute.")] = Path("chain.sqlite"),
) -> None:
    """Serve one local chain (py-evm) to several processes. It is for trials: anyone on this machine may write to it."""
    from anchoring.server import make_server
    from lading.evm import EvmNode

    logs.configure("chain")
    shared, _ = load(config)
    accounts = ensure_keys(all_key_paths(config, shared))
    funded = {account.address: GENESIS_ETHER * ETHER for account in accounts.values()}
    node = EvmNode(funded, lambda: int(time.time()), store=shared.lading.below(store))
    server = make_server(node, port)
    stop = stop_on_signals()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    head = Chain(node).head()
    structlog.get_logger().info(
        "chain_serves", url=f"http://127.0.0.1:{server.server_port}", block=head.number
    )
    stop.wait()
    server.shutdown()


@app.command()
def accounts(
    more: Annotated[
        list[str] | None,
        typer.Argument(help="Further key files, as insurer.key: beside the operator's unless absolute."),
    ] = None,
    give: Annotated[
        float, typer.Option(min=0, max=GIVE_ETHER_MAX, help="Ether of the deployer's for each further one.")
    ] = 0,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """The accounts of this installation, made where they are missing, with addresses and what they have."""
    shared, _ = load(config)
    to = connect(shared.chain.rpc)
    others = {Path(one).stem: shared.lading.beside_operator(Path(one)) for one in more or ()}
    found = ensure_keys(all_key_paths(config, shared) | others)
    for name in others if give else ():
        Wallet(to, found["deployer"]).pay(found[name].address, round(give * ETHER))
    rows = {name: ("0x" + one.address.hex(), to.balance(one.address)) for name, one in found.items()}
    if as_json:
        document = {name: {"address": at, "balance_wei": wei} for name, (at, wei) in rows.items()}
        typer.echo(json.dumps(document))
        return
    for name, (address, wei) in rows.items():
        typer.echo(f"{name:10} {address} {wei / ETHER:.6f} ether")


@app.command()
def status(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Intervals by state, frames that wait, and the newest anchor."""
    shared, own = load(config)
    log, index = open_log(shared), Index(shared.lading.below(own.index))
    waiting = meters.frames_waiting(log, index)
    counts = index.counts()
    newest = index.newest_finalized()
    document = {
        "frames_waiting": waiting,
        "intervals": {state: counts.get(state, 0) for state in meters.STATES},
        "newest_finalized": None if newest is None else newest.interval,
        "newest_finalized_block": None if newest is None else newest.block_number,
        "newest_finalized_ms": None if newest is None else newest.block_time_ms,
        **_chain_heights(shared),
    }
    if as_json:
        typer.echo(json.dumps(document))
        return
    typer.echo(f"frames waiting: {waiting}")
    for state, count in counts.items():
        typer.echo(f"{state}: {count} intervals")
    if newest is not None:
        typer.echo(f"newest finalized: interval {newest.interval} in block {newest.block_number}")


def _chain_heights(shared: Shared) -> dict[str, int | None]:
    """Newest and finalized block; None while the chain does not answer, as the rest can still be told."""
    try:
        to = connect(shared.chain.rpc)
        return {"chain_height": to.head().number, "chain_finalized": to.height(FINALIZED)}
    except ServiceError:
        return {"chain_height": None, "chain_finalized": None}


@app.command()
def proof(
    gateway: Annotated[str, typer.Argument(help="Gateway id, hex.")],
    frame_seq: Annotated[int, typer.Argument(help="The frame's number.")],
    channel: Annotated[int | None, typer.Option(help="With --seq: prove one reading.")] = None,
    seq: Annotated[int | None, typer.Option(help="The reading's sequence number.")] = None,
    config: Config = CONFIG,
) -> None:
    """A frame's or reading's way up to its anchored root, as JSON; checked before it is printed."""
    shared, own = load(config)
    prover = Prover(open_log(shared), Index(shared.lading.below(own.index)), open_gateways(shared).tenant_of)
    try:
        gateway_id = bytes.fromhex(gateway)
    except ValueError as exc:
        raise ServiceError("gateway", f"{gateway!r}, wanted 64 hex digits") from exc
    if channel is None or seq is None:
        document = _frame_document(prover.proof_of_frame(gateway_id, frame_seq))
    else:
        document = _reading_document(prover.proof_of_reading(gateway_id, frame_seq, channel, seq))
    typer.echo(json.dumps(document, indent=1))


def _frame_document(found: FrameProof) -> dict[str, Any]:
    anchor = found.anchor
    return {
        "frame": found.frame.hex(),
        "leaf_index": found.leaf_index,
        "leaf_count": found.batch.leaf.frame_count,
        "siblings": [sibling.hex() for sibling in found.siblings],
        "batch_leaf": found.batch.leaf.encoded.hex(),
        "batch_index": found.batch.batch_index,
        "batch_count": found.batch.batch_count,
        "batch_siblings": [sibling.hex() for sibling in found.batch.siblings],
        "interval": found.batch.interval,
        "anchor": None if anchor is None else anchor.encode().hex(),
        "anchor_state": None if anchor is None else anchor.state,
    }


def _reading_document(found: ReadingProof) -> dict[str, Any]:
    return {
        "reading_leaf": found.leaf.hex(),
        "reading_index": found.reading_index,
        "reading_siblings": [sibling.hex() for sibling in found.reading_siblings],
        "run_record": found.run_record.hex(),
        "run_index": found.run_index,
        "run_siblings": [sibling.hex() for sibling in found.run_siblings],
        **_frame_document(found.frame_proof),
    }
