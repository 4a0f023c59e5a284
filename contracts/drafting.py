"""Terms over the legs of a shipment, from the operator's begin orders and a toml file of what the parties agreed.

carrier = "0x…"             # may be left out where the command is given keys or addresses
shipper = "0x…"
bond = "2000 TEST"          # the token's name; a plain number is in its smallest units
leg_cap = "1500 TEST"       # most that one leg may cost; the bond where it is left out
deadline = "5 days"         # after the due time, or after the begin where no due time was agreed
window = "4 days"           # in which better evidence may be shown after the deadline
uncertainty_max = "0.5 C"   # calibration certificates must be at least so good; left out: none is asked for
[[tier]]
channel = 1                 # left out for late and silence, which are of the leg
metric = "above"            # contracts.drafting.METRICS, docs/agreements.md
threshold = "30 min"        # a plain number is in ms, or in thousandths of the unit
amount = "100 TEST"
"""

import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from contracts import written
from contracts.legs import leg_terms
from contracts.money import Money
from lading.assignment import Assignment
from lading.errors import MalformedError, ServiceError
from lading.fields import U32_MAX
from lading.limits import ChannelLimits
from lading.mkt import weight
from lading.quantities import Quantity
from lading.terminal import opened
from lading.terms import LEGS_MAX, Leg, Terms
from lading.tiers import METRICS_OF_LEG, TIERS_MAX, VALUE_OFFSET, Metric, Tier

STDIN = Path("-")
FILE_BYTES_MAX = 65_536
U128_MAX = 2**128 - 1
BOND_MAX = 2**96 - 1
NUMBER_BITS_MAX = 256
DEADLINE_S_MAX = 10**9
METRICS = {metric.name.lower().removesuffix("_ms"): metric for metric in Metric}
_OF_VALUES = (Metric.MKT, Metric.MAX_VALUE, Metric.MIN_VALUE)


def _number_or_text(value: object) -> object:
    if type(value) not in (int, str):
        raise ValueError(f"found {_short(value)!r}, wanted a whole number, or text with its unit")
    if isinstance(value, int) and value.bit_length() > NUMBER_BITS_MAX:
        raise ValueError(f"found {_short(value)!r}, wanted at most {NUMBER_BITS_MAX} bits")
    return value


def _short(value: object) -> str:
    """Of numbers too, of which Python prints only those of a few thousand digits."""
    if isinstance(value, int) and value.bit_length() > NUMBER_BITS_MAX:
        return f"a number of {value.bit_length()} bits"
    return str(value)[:40]


Quantified = Annotated[int | str, BeforeValidator(_number_or_text)]


class Table(BaseModel):
    """What a file says: nothing else, and nothing of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DraftTier(Table):
    """One tier as people write it."""

    channel: int = Field(0, ge=0, le=65_535)
    metric: str
    threshold: Quantified
    amount: Quantified


_File = TypeVar("_File", bound="Table")


class JudgedDraft(Table):
    """How legs are judged, as the terms file of any product says it. `_s` and plain numbers are as on the wire."""

    deadline: str = ""
    deadline_s: int = Field(0, ge=0, le=DEADLINE_S_MAX)
    window: str = ""
    window_s: int = Field(0, ge=0, le=U32_MAX)
    uncertainty_max: Quantified = 0
    tier: list[DraftTier] = Field(min_length=1, max_length=TIERS_MAX)

    @model_validator(mode="after")
    def _each_once(self) -> "JudgedDraft":
        for name in ("deadline", "window"):
            if bool(getattr(self, name)) == bool(getattr(self, f"{name}_s")):
                raise ValueError(f"wanted one of {name} and {name}_s")
        return self


class Draft(JudgedDraft):
    """What the terms file of an agreement says."""

    carrier: str = ""
    shipper: str = ""
    bond: Quantified
    leg_cap: Quantified | None = None


class Parties(NamedTuple):
    """Addresses."""

    carrier: bytes
    shipper: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """What terms are drafted for: the token with its name, and the least window of the chain's contracts."""

    token: bytes
    money: Money
    window_min_s: int = 1


def read_draft(path: Path) -> Draft:
    """The terms of an agreement."""
    return read_table(path, Draft)


def read_table(path: Path, model: type[_File]) -> _File:
    """From a file, or stdin as `-`. ServiceError when there is none, MalformedError `terms` when it says otherwise."""
    try:
        return model.model_validate(tomllib.loads(_read(path)))
    except ValidationError as exc:
        raise MalformedError("terms", f"{path}: {_problems(exc)}") from exc
    except RecursionError as exc:
        raise MalformedError("terms", f"{path}: brackets inside brackets, wanted at most a few") from exc
    except ValueError as exc:  # no toml, no UTF-8, or a number of thousands of digits
        raise MalformedError("terms", f"{path}: {exc}") from exc


def _read(path: Path) -> str:
    try:
        if path == STDIN:
            data = opened(sys.stdin, "standard input").buffer.read(FILE_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise ServiceError("terms", f"{path}: {exc}") from exc
    if len(data) > FILE_BYTES_MAX:
        raise MalformedError("terms", f"{path}: longer than {FILE_BYTES_MAX} bytes, wanted at most that")
    return data.decode("utf-8-sig")


def make_terms(
    draft: Draft, begins: Sequence[Assignment], parties: Parties, place: Place, salt: int, now_s: int
) -> Terms:
    """The terms of a draft over the legs that `begins` begin. MalformedError `terms` names the draft's key."""
    legs = tuple(sorted((leg_of_draft(draft, begin) for begin in begins), key=lambda leg: leg.leg_id))
    bond = read_amount("bond", draft.bond, place.money, BOND_MAX)
    terms = Terms(
        parties.carrier,
        parties.shipper,
        place.token,
        begins[0].tenant,
        draft.window_s or read_seconds("window", draft.window),
        uncertainty_of_draft(draft, begins),
        bond,
        bond if draft.leg_cap is None else read_amount("leg_cap", draft.leg_cap, place.money, BOND_MAX),
        salt,
        legs,
        tiers_of_draft(draft, begins, place.money),
    )
    _check(terms, draft, begins, place, now_s)
    return terms


def leg_of_draft(draft: JudgedDraft, begin: Assignment) -> Leg:
    """A begun leg with the draft's deadline."""
    if begin.limits is None:
        raise MalformedError("terms", "the order ends a leg, wanted one that begins it")
    after_s = draft.deadline_s or read_text("deadline", written.duration_s, draft.deadline)
    if not 1 <= after_s <= DEADLINE_S_MAX:
        raise _wrong("deadline", draft.deadline, f"1 s to {DEADLINE_S_MAX} s")
    from_s = (begin.due_ms or begin.begin_ms) // 1000
    return leg_terms(begin, from_s + after_s)


def tiers_of_draft(draft: JudgedDraft, begins: Sequence[Assignment], money: Money) -> tuple[Tier, ...]:
    """In the escrow's order; each at a place of its own."""
    placed: dict[tuple[int, int, int], int] = {}
    tiers = []
    for number, one in enumerate(draft.tier, 1):
        tier = _tier(f"tier {number}", one, begins, money)
        other = placed.setdefault((tier.channel, tier.metric, tier.threshold), number)
        if other != number:
            raise MalformedError("terms", f"tier {number} has channel, metric and threshold of tier {other}")
        tiers.append(tier)
    return tuple(sorted(tiers, key=lambda tier: (tier.channel, tier.metric, tier.threshold)))


def _tier(where: str, one: DraftTier, begins: Sequence[Assignment], money: Money) -> Tier:
    metric = METRICS.get(one.metric.lower().removesuffix("_ms"))
    if metric is None:
        raise _wrong(f"{where}, metric", one.metric, f"one of {', '.join(METRICS)}")
    if metric in METRICS_OF_LEG:
        return _tier_of_leg(where, metric, one, begins, money)
    limits = [_channel(f"{where}, channel", one.channel, begin) for begin in begins]
    quantities = {found.quantity for found in limits}
    if len(quantities) > 1:
        raise _wrong(f"{where}, channel", one.channel, "a channel of the same quantity on every leg")
    quantity = quantities.pop()
    if metric is Metric.MKT and quantity != Quantity.TEMPERATURE:
        raise _wrong(f"{where}, metric", one.metric, "another: only a temperature has a mean kinetic one")
    threshold = _threshold(f"{where}, threshold", metric, one.threshold, quantity)
    return Tier(one.channel, metric, threshold, read_amount(f"{where}, amount", one.amount, money, U128_MAX))


def _tier_of_leg(
    where: str, metric: Metric, one: DraftTier, begins: Sequence[Assignment], money: Money
) -> Tier:
    if one.channel:
        raise _wrong(f"{where}, channel", one.channel, f"none: {one.metric} is of the leg")
    if metric is Metric.LATE_MS and not all(begin.due_ms for begin in begins):
        raise _wrong(f"{where}, metric", one.metric, "another: a leg was begun without a due time")
    threshold = _threshold(f"{where}, threshold", metric, one.threshold, 0)
    return Tier(0, metric, threshold, read_amount(f"{where}, amount", one.amount, money, U128_MAX))


def _channel(where: str, channel: int, begin: Assignment) -> ChannelLimits:
    assert begin.limits is not None
    found = begin.limits.by_channel.get(channel)
    if found is None:
        known = ", ".join(map(str, begin.limits.by_channel))
        raise _wrong(where, channel, f"one of {known}, which {begin.reference} has limits for")
    return found


def _threshold(where: str, metric: Metric, given: int | str, quantity: int) -> int:
    if isinstance(given, int):
        value = given
    elif metric in _OF_VALUES:
        value = read_text(where, lambda text: written.value_milli(text, quantity), given)
    else:
        value = read_text(where, written.duration_ms, given)
    if metric is Metric.MKT:
        return weight(value)
    if metric in (Metric.MAX_VALUE, Metric.MIN_VALUE):
        value = VALUE_OFFSET + (value if metric is Metric.MAX_VALUE else -value)
    if not 0 <= value <= U128_MAX:
        raise _wrong(where, given, "a figure that the metric can reach")
    return value


def uncertainty_of_draft(draft: JudgedDraft, begins: Sequence[Assignment]) -> int:
    """In thousandths of the unit of the channels that tiers name; with a unit written, all have that one."""
    given, where = draft.uncertainty_max, "uncertainty_max"
    if isinstance(given, str):
        wanted = {one.channel for one in draft.tier if one.channel}
        found = {_channel(where, channel, begin).quantity for channel in wanted for begin in begins}
        if len(found) != 1:
            raise _wrong(
                where, given, "thousandths as a whole number: the tiers' channels differ in quantity"
            )
        quantity = found.pop()
        given = read_text(where, lambda text: written.value_milli(text, quantity), given)
    if not 0 <= given <= U32_MAX:
        raise _wrong(where, draft.uncertainty_max, f"0 to {U32_MAX} thousandths")
    return given


def _check(terms: Terms, draft: Draft, begins: Sequence[Assignment], place: Place, now_s: int) -> None:
    """What the escrow would refuse, said by the draft's keys."""
    if len({begin.leg_id for begin in begins}) != len(begins) or len(begins) > LEGS_MAX:
        raise MalformedError("terms", f"{len(begins)} legs, wanted at most {LEGS_MAX}, each once")
    if len({begin.tenant for begin in begins}) > 1:
        raise MalformedError("terms", "legs of several tenants, wanted one's")
    if terms.carrier == terms.shipper:
        raise MalformedError("terms", f"carrier and shipper are both 0x{terms.carrier.hex()}, wanted two")
    if terms.leg_cap > terms.bond:
        raise _wrong("leg_cap", draft.leg_cap, "at most the bond")
    check_window(terms.window_s, place)
    over = [leg for leg in terms.legs if leg.deadline_s <= now_s]
    if over:
        raise MalformedError(
            "terms",
            f"deadline: leg {over[0].leg_id.hex()[:16]}… is {now_s - over[0].deadline_s} s past its own",
        )


def read_amount(where: str, given: int | str, money: Money, maximum: int) -> int:
    """In smallest units, 1 to `maximum`."""
    value = (
        given
        if isinstance(given, int)
        else read_text(where, lambda text: written.amount_units(text, money), given)
    )
    if not 1 <= value <= maximum:
        raise _wrong(where, given, f"1 to {maximum} of the token's smallest units")
    return value


def read_seconds(where: str, text: str) -> int:
    """A duration that the contracts hold: whole seconds in 32 bits."""
    value = read_text(where, written.duration_s, text)
    if value > U32_MAX:
        raise _wrong(where, text, f"at most {U32_MAX} s")
    return value


def check_window(window_s: int, place: Place) -> None:
    """MalformedError `terms` where evidence that is anchored at the deadline could be final only after the window."""
    if window_s < place.window_min_s:
        raise _wrong("window", f"{window_s} s", f"at least {place.window_min_s} s, twice an anchor's own")


def read_text(where: str, parse: Callable[[str], int], text: str) -> int:
    """As `parse` reads it; MalformedError `terms` says where it does not."""
    try:
        return parse(text)
    except ValueError as exc:
        raise _wrong(where, text, str(exc)) from exc


def _wrong(where: str, found: object, wanted: str) -> MalformedError:
    return MalformedError("terms", f"{where}: found {found!r}, wanted {wanted}")


def _problems(exc: ValidationError) -> str:
    """Each problem by its key, as the file has it: tiers from 1 on."""
    said = []
    for error in exc.errors(include_url=False):
        place = [f"{part + 1}" if isinstance(part, int) else str(part) for part in error["loc"]]
        where = " ".join(place[:2]) + "".join(f", {part}" for part in place[2:3])
        text = error["msg"].removeprefix("Value error, ")
        found = "" if error["type"] in ("missing", "value_error") else f", found {_short(error['input'])!r}"
        said.append(f"{where}: {text}{found}" if where else text)
    return "; ".join(dict.fromkeys(said))
