"""`lading fees`: what a fleet pays for anchoring and settling, at prices given or read from chains."""

import json
from pathlib import Path
from typing import Annotated

import typer

from contracts.fees.fleet import CADENCES_S, Fleet, costs
from contracts.fees.formulas import Prices
from contracts.fees.given import check_given, prices_given, read_given
from contracts.fees.reading import read_prices
from contracts.fees.showing import Report, document, drawing, lines
from lading.chain import connect
from lading.errors import ServiceError
from lading.terminal import AsJson

app = typer.Typer(add_completion=False)

RPCS_MAX = 8
_NO_PRICES = "no prices: wanted --rpc URL, --prices FILE, or prices as options; there are no defaults, as prices change"

Price = Annotated[float | None, typer.Option(min=0, rich_help_panel="Prices")]


@app.command()
def fees(
    gateways: Annotated[int, typer.Option(min=1, max=10**7, help="Gateways in the fleet.")],
    readings_per_day: Annotated[float, typer.Option(min=1, max=10**9, help="Readings of one gateway a day.")],
    interval_s: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds between two anchors, as [anchoring] interval_s.")
    ] = 60,
    frame_s: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds between a gateway's frames, as [edge] flush_s.")
    ] = 600,
    tenants: Annotated[int, typer.Option(min=1, max=10**6, help="Tenants that share the anchors.")] = 1,
    legs_per_month: Annotated[float, typer.Option(min=0, max=10**9, help="Legs under an agreement.")] = 0,
    breach_share: Annotated[float, typer.Option(min=0, max=1, help="Share of legs and covers that pay.")] = 0,
    covers_per_month: Annotated[float, typer.Option(min=0, max=10**9, help="Covers bought.")] = 0,
    rpc: Annotated[
        list[str] | None,
        typer.Option(help="Read the present prices of the chain at this URL; several times."),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="toml file with prices by the options' names, `_` for `-`.")
    ] = None,
    l1_base_fee_gwei: Price = None,
    l1_tip_gwei: Price = None,
    l1_blob_base_fee_gwei: Price = None,
    op_base_fee_gwei: Price = None,
    op_tip_gwei: Price = None,
    op_base_fee_scalar: Price = None,
    op_blob_base_fee_scalar: Price = None,
    op_operator_scalar: Price = None,
    op_operator_constant: Price = None,
    op_fork: Annotated[str | None, typer.Option(help="isthmus or jovian.", rich_help_panel="Prices")] = None,
    arbitrum_base_fee_gwei: Price = None,
    ether_price: Annotated[
        float | None, typer.Option(min=0, help="What an ether costs, in money of your choice.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the months' costs over cadences, as SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """What anchoring and settling cost on an OP-stack chain, Arbitrum and L1, in ether or money.

    Gas is that of the contracts' committed measurements; prices are yours, or the chain's at this moment.
    """
    options = {
        "l1_base_fee_gwei": l1_base_fee_gwei,
        "l1_tip_gwei": l1_tip_gwei,
        "l1_blob_base_fee_gwei": l1_blob_base_fee_gwei,
        "op_base_fee_gwei": op_base_fee_gwei,
        "op_tip_gwei": op_tip_gwei,
        "op_base_fee_scalar": op_base_fee_scalar,
        "op_blob_base_fee_scalar": op_blob_base_fee_scalar,
        "op_operator_scalar": op_operator_scalar,
        "op_operator_constant": op_operator_constant,
        "op_fork": op_fork,
        "arbitrum_base_fee_gwei": arbitrum_base_fee_gwei,
        "ether_price": ether_price,
    }
    given = {} if prices is None else read_given(prices)
    given |= check_given({name: value for name, value in options.items() if value is not None})
    fleet = Fleet(
        gateways, readings_per_day, frame_s, tenants, legs_per_month, breach_share, covers_per_month
    )
    sources = [("prices given", one) for one in prices_given(given)] + _read(rpc or [])
    if not sources:
        raise ServiceError("fees", _NO_PRICES)
    reports = [_report(fleet, source, found, interval_s) for source, found in sources]
    ether = float(given["ether_price"]) if "ether_price" in given else None
    if plot is not None:
        plot.write_text(drawing(reports, ether))
    if as_json:
        typer.echo(json.dumps(document(fleet, reports, ether)))
        return
    typer.echo("in ether" if ether is None else f"in money, at {ether:g} an ether")
    for line in lines(fleet, reports, ether):
        typer.echo(line)


def _read(urls: list[str]) -> list[tuple[str, Prices]]:
    if len(urls) > RPCS_MAX:
        raise ServiceError("fees", f"{len(urls)} URLs, wanted at most {RPCS_MAX}")
    found = []
    for url in urls:
        chain = connect(url)
        found.append((f"chain {chain.chain_id}, block {chain.head().number}", read_prices(chain)))
    return found


def _report(fleet: Fleet, source: str, prices: Prices, interval_s: float) -> Report:
    cadences = tuple(costs(fleet, prices, each) for each in CADENCES_S)
    return Report(source, prices, costs(fleet, prices, interval_s), cadences)
