"""Prices as a person gives them: gwei and scalars by name, from options or a toml file. There are no defaults."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from contracts.fees.formulas import ArbitrumPrices, Fork, L1Prices, OpPrices, Prices
from lading.errors import MalformedError

FILE_BYTES_MAX = 65_536
GWEI = 10**9
NUMBER_MAX = 10**12
_L1 = ("l1_base_fee_gwei", "l1_tip_gwei")
_OP = (
    "op_base_fee_gwei",
    "op_tip_gwei",
    "l1_base_fee_gwei",
    "l1_blob_base_fee_gwei",
    "op_base_fee_scalar",
    "op_blob_base_fee_scalar",
    "op_operator_scalar",
    "op_operator_constant",
    "op_fork",
)
_ARBITRUM = ("arbitrum_base_fee_gwei", "l1_base_fee_gwei")
NAMES = frozenset((*_L1, *_OP, *_ARBITRUM, "ether_price"))

Given = Mapping[str, float | str]


def read_given(path: Path) -> dict[str, float | str]:
    """The names and values of a toml file. MalformedError for others."""
    try:
        content = path.read_bytes()
        if len(content) > FILE_BYTES_MAX:
            raise MalformedError("prices", f"{path}: {len(content)} bytes, wanted at most {FILE_BYTES_MAX}")
        found = tomllib.loads(content.decode("utf-8-sig"))
    except (OSError, ValueError) as exc:
        raise MalformedError("prices", f"{path}: {exc}") from exc
    return check_given(found)


def check_given(found: Mapping[str, object]) -> dict[str, float | str]:
    """The same, when every name is known and every number is one that a price can be."""
    unknown = sorted(set(found) - NAMES)
    if unknown:
        raise MalformedError("prices", f"{', '.join(unknown)}, wanted some of {', '.join(sorted(NAMES))}")
    given: dict[str, float | str] = {}
    for name, value in found.items():
        if name == "op_fork" and value in set(Fork):
            given[name] = str(value)
        elif isinstance(value, int | float) and 0 <= value <= NUMBER_MAX and name != "op_fork":
            given[name] = value
        else:
            wanted = " or ".join(Fork) if name == "op_fork" else f"a number from 0 to {NUMBER_MAX}"
            raise MalformedError("prices", f"{name} = {value!r}, wanted {wanted}")
    return given


def prices_given(given: Given) -> list[Prices]:
    """Of each kind of chain that all prices are given for. MalformedError where only some of a kind's own are."""
    found: list[Prices] = []
    if _is_whole(given, "l1_tip_gwei", _L1):
        found.append(L1Prices(_wei(given, "l1_base_fee_gwei"), _wei(given, "l1_tip_gwei")))
    if _is_whole(given, "op_", _OP):
        found.append(_op_prices(given))
    if _is_whole(given, "arbitrum_", _ARBITRUM):
        base_fee_wei = _wei(given, "arbitrum_base_fee_gwei")
        if not base_fee_wei:
            raise MalformedError("prices", "arbitrum_base_fee_gwei is less than 1 wei")
        found.append(ArbitrumPrices(base_fee_wei, _wei(given, "l1_base_fee_gwei")))
    return found


def _op_prices(given: Given) -> OpPrices:
    return OpPrices(
        _wei(given, "op_base_fee_gwei"),
        _wei(given, "op_tip_gwei"),
        _wei(given, "l1_base_fee_gwei"),
        _wei(given, "l1_blob_base_fee_gwei"),
        int(given["op_base_fee_scalar"]),
        int(given["op_blob_base_fee_scalar"]),
        int(given["op_operator_scalar"]),
        int(given["op_operator_constant"]),
        Fork(str(given["op_fork"])),
    )


def _is_whole(given: Given, prefix: str, names: tuple[str, ...]) -> bool:
    """Whether a kind of chain is asked for, by any price of its own."""
    if not any(name.startswith(prefix) for name in given):
        return False
    missing = [name for name in names if name not in given]
    if missing:
        raise MalformedError("prices", f"{', '.join(missing)} missing beside {prefix}…")
    return True


def _wei(given: Given, name: str) -> int:
    return round(float(given[name]) * GWEI)
