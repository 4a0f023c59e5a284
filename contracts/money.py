"""Amounts of a token as people write and read them; on chain and on the wire they are whole smallest units."""

from dataclasses import dataclass
from decimal import Decimal, localcontext

from lading import abi
from lading.chain import Chain, RevertedError
from lading.errors import ServiceError

DECIMALS_MAX = 36
SYMBOL_CHARS_MAX = 16
DIGITS_MAX = 96  # more than any amount that is written has: none is rounded without a word


@dataclass(frozen=True, slots=True)
class Money:
    """A token's symbol and how many decimals it shows; without a chain to ask, neither is known."""

    symbol: str = ""
    decimals: int = 0

    @property
    def is_known(self) -> bool:
        """Whether amounts can be written in whole tokens."""
        return bool(self.symbol)

    def show(self, amount: int) -> str:
        """`250.50 TEST`; in smallest units where the token is not known."""
        if not self.is_known:
            return f"{amount:,} of the token's smallest units"
        whole, rest = divmod(amount, 10**self.decimals)
        digits = f"{rest:0{self.decimals}d}".rstrip("0") if self.decimals else ""
        return f"{whole:,}" + (f".{digits:0<2}" if digits else "") + f" {self.symbol}"

    def units(self, tokens: Decimal) -> int | None:
        """Whole smallest units of so many tokens; None where they are finer than that."""
        with localcontext(prec=DIGITS_MAX):
            scaled = tokens.scaleb(self.decimals)
            return int(scaled) if scaled == scaled.to_integral_value() else None


def money_of(chain: Chain, token: bytes) -> Money:
    """What a token calls itself. ServiceError `token` where it does not say so."""
    contract = abi.at(chain, "MockToken", token)
    try:
        symbol, decimals = str(contract.call("symbol")), int(contract.call("decimals"))
    except RevertedError as exc:
        raise ServiceError("token", f"0x{token.hex()} does not tell symbol and decimals: {exc.text}") from exc
    if not symbol.isprintable() or not 1 <= len(symbol) <= SYMBOL_CHARS_MAX or decimals > DECIMALS_MAX:
        raise ServiceError("token", f"0x{token.hex()} calls itself {symbol[:40]!r} with {decimals} decimals")
    return Money(symbol, decimals)
