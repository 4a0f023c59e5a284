"""What an AccessManager holds besides members: delays on their way, closed targets, functions and calls that wait.

A role or a delay that changes later is nowhere in what `hasRole` tells: it is in the manager's events,
which are read from the chain's first block, because deployment.json's own block is the operator's word.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lading.abi import Contract, interface

_CHANGES = (
    "grantRole",
    "revokeRole",
    "setGrantDelay",
    "setRoleAdmin",
    "setRoleGuardian",
    "setTargetAdminDelay",
    "setTargetClosed",
    "setTargetFunctionRole",
    "updateAuthority",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should be: least delays in seconds by role, roles by (target, selector), and the targets."""

    delays_s: Mapping[int, int]
    functions: Mapping[tuple[bytes, bytes], int]
    targets: tuple[bytes, ...]


def pending_problems(manager: Contract, wanted: Wanted, first: int) -> Iterator[str]:
    """What is on its way, or hidden, that the present roles do not show. `first`: the block to read events from."""
    now_s = manager.chain.head().time_s
    yield from _access_problems(manager, wanted, first, now_s)
    yield from _delay_problems(manager, wanted, first, now_s)
    yield from _target_problems(manager, wanted, first)
    yield from _waiting_problems(manager, first)


def grants(manager: Contract, first: int) -> list[tuple[int, bytes]]:
    """Every (role, account) that was ever granted, in order, without repetition."""
    found = manager.events("RoleGranted", first=first)
    return sorted({(int(fields["roleId"]), bytes(fields["account"])) for _, fields in found})


def _access_problems(manager: Contract, wanted: Wanted, first: int, now_s: int) -> Iterator[str]:
    """Members to come, and members whose delay falls later below the least."""
    for number, account in grants(manager, first):
        since_s, _, pending_s, effect_s = (int(one) for one in manager.call("getAccess", number, account))
        if since_s > now_s:
            yield f"0x{account.hex()} becomes member of role {number} at {since_s}"
        least_s = wanted.delays_s.get(number, 0)
        if effect_s > now_s and pending_s < least_s:
            yield (
                f"the delay of 0x{account.hex()} in role {number} falls to {pending_s} s at {effect_s}, "
                f"wanted {least_s} s"
            )


def _delay_problems(manager: Contract, wanted: Wanted, first: int, now_s: int) -> Iterator[str]:
    """Delays of grants and of targets, which nothing here sets."""
    for number in wanted.delays_s:
        if found := manager.call("getRoleGrantDelay", number):
            yield f"grants of role {number} take effect after {found} s, wanted 0 s"
    for target in wanted.targets:
        if found := manager.call("getTargetAdminDelay", target):
            yield f"changes of 0x{target.hex()} take {found} s, wanted 0 s"
    for event, key in (("RoleGrantDelayChanged", "roleId"), ("TargetAdminDelayUpdated", "target")):
        for _, fields in manager.events(event, first=first):
            if int(fields["since"]) > now_s:
                yield f"{event}: {_shown(fields[key])} has {fields['delay']} s from {fields['since']} on"


def _target_problems(manager: Contract, wanted: Wanted, first: int) -> Iterator[str]:
    """Functions that were given to a role, and are not ours; closed targets."""
    given = {
        (bytes(fields["target"]), bytes(fields["selector"]))
        for _, fields in manager.events("TargetFunctionRoleUpdated", first=first)
    }
    for target, selector in sorted(given - set(wanted.functions)):
        if number := manager.call("getTargetFunctionRole", target, selector):
            yield f"function 0x{selector.hex()} of 0x{target.hex()} is of role {number}, wanted admin"
    closed = {bytes(fields["target"]) for _, fields in manager.events("TargetClosed", first=first)}
    for target in sorted(closed - set(wanted.targets)):
        if manager.call("isTargetClosed", target):
            yield f"0x{target.hex()} is closed"


def _waiting_problems(manager: Contract, first: int) -> Iterator[str]:
    """Scheduled changes of the manager itself, that are neither executed, cancelled nor expired."""
    seen = set()
    for _, fields in manager.events("OperationScheduled", first=first):
        operation = bytes(fields["operationId"])
        if bytes(fields["target"]) != manager.address or operation in seen:
            continue
        seen.add(operation)
        if at_s := manager.call("getSchedule", operation):
            call = _call_shown(bytes(fields["data"]))
            yield f"0x{bytes(fields['caller']).hex()} has scheduled {call} for {at_s}"


def _call_shown(data: bytes) -> str:
    names = {interface("AccessManager").selector(name): name for name in _CHANGES}
    return names.get(data[:4], f"0x{data[:4].hex()}")


def _shown(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else f"role {value}"
