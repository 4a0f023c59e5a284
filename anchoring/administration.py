"""Who may administer the contracts, and after what delay: one OpenZeppelin AccessManager (ADR 36).

The manager is steward, registrar and guardian of the immutable contracts. A member of a role schedules a call, everyone
sees it, a guardian may cancel it, and it is executed after the delay; contesting an interval alone needs none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from anchoring.pending import Wanted, grants, pending_problems
from lading import abi
from lading.abi import Contract, interface
from lading.chain import Chain
from lading.deployment import Deployment
from lading.errors import ServiceError
from lading.wallet import Wallet

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Role:
    """Functions of one contract (a field of Deployment), and the least delay of the role's members."""

    number: int
    name: str
    delay_s: int
    field: str
    contract: str
    functions: tuple[str, ...]


ADMIN = Role(0, "admin", 7 * DAY_S, "manager", "AccessManager", ())
STEWARD = Role(1, "steward", 7 * DAY_S, "vault", "CreditVault", ("allowToken", "admit"))
REGISTRAR = Role(2, "registrar", 2 * DAY_S, "gateways", "GatewayRegistry", ("enrolTenant",))
GUARDIAN = Role(3, "guardian", 0, "anchors", "AnchorRegistry", ("contest",))
# Voiding takes evidence away, another anchorer takes the sequence: both are announced; a contest only waits.
KEEPER = Role(4, "keeper", DAY_S, "anchors", "AnchorRegistry", ("endContest", "setAnchorer"))
ROLES = (ADMIN, STEWARD, REGISTRAR, GUARDIAN, KEEPER)
_CANCELLED_BY_GUARDIAN = (STEWARD, REGISTRAR, KEEPER)


@dataclass(frozen=True, slots=True)
class Holders:
    """The account of each role."""

    admin: bytes
    steward: bytes
    registrar: bytes
    guardian: bytes
    keeper: bytes

    def of(self, role: Role) -> bytes:
        """The account that holds a role."""
        holder: bytes = getattr(self, role.name)
        return holder


def administer(
    wallet: Wallet, manager: bytes | None, contract: Contract, function: str, *arguments: Any
) -> None:
    """Call a contract as its administrator: directly, or through the manager where there is one."""
    if manager is None:
        wallet.transact(contract, function, *arguments)
        return
    call = contract.interface.encode_call(function, *arguments)
    wallet.transact(abi.at(wallet.chain, "AccessManager", manager), "execute", contract.address, call)


def hand_over(wallet: Wallet, deployment: Deployment, holders: Holders) -> None:
    """Give every role to its holder, look whether that came out, and only then give up the deployer's own.

    Goes on where an earlier run stopped. ServiceError before anything is given up, when something is not as wanted.
    """
    deployer = wallet.account.address
    if deployer in (holders.of(role) for role in ROLES):
        raise ServiceError("administration", "the deployer cannot hold a role: its key gives up all of them")
    if holders.guardian == holders.admin:
        raise ServiceError(
            "administration", "guardian and admin are one account: neither would watch the other"
        )
    manager = _manager(wallet.chain, deployment)
    if not _is_member(manager, ADMIN, deployer):
        return
    for role in ROLES:
        _assign(wallet, manager, deployment, role, holders.of(role))
    found = problems(wallet.chain, deployment, leaving=deployer, first=deployment.block)
    if found:
        raise ServiceError("administration", f"not handed over: {'; '.join(found)}")
    wallet.transact(manager, "renounceRole", ADMIN.number, deployer)


def _assign(wallet: Wallet, manager: Contract, deployment: Deployment, role: Role, holder: bytes) -> None:
    """Functions, guardian and holder of one role, as far as they are not set."""
    target: bytes = getattr(deployment, role.field)
    unset = [
        selector
        for selector in _selectors(role)
        if manager.call("getTargetFunctionRole", target, selector) != role.number
    ]
    if unset:
        wallet.transact(manager, "setTargetFunctionRole", target, unset, role.number)
    if role in _CANCELLED_BY_GUARDIAN and manager.call("getRoleGuardian", role.number) != GUARDIAN.number:
        wallet.transact(manager, "setRoleGuardian", role.number, GUARDIAN.number)
    if not _is_member(manager, role, holder):
        wallet.transact(manager, "grantRole", role.number, holder, role.delay_s)


def problems(chain: Chain, deployment: Deployment, leaving: bytes | None = None, first: int = 0) -> list[str]:
    """What of the administration is not as it is to be, now or later; nothing where all is.

    `leaving`: a deployer still at work. `first`: the block to read events from, where the caller made the manager.
    """
    manager = _manager(chain, deployment)
    found = [text for role in ROLES for text in _role_problems(manager, deployment, role)]
    found += _member_problems(_members(manager, first), leaving)
    return found + list(pending_problems(manager, _wanted(deployment), first))


def members(chain: Chain, deployment: Deployment) -> dict[tuple[int, bytes], int]:
    """(role, account) → delay in seconds, of everyone who was ever granted a role and still has it."""
    return _members(_manager(chain, deployment), 0)


def _wanted(deployment: Deployment) -> Wanted:
    targets: dict[str, bytes] = {role.field: getattr(deployment, role.field) for role in ROLES}
    functions = {
        (targets[role.field], selector): role.number for role in ROLES for selector in _selectors(role)
    }
    return Wanted({role.number: role.delay_s for role in ROLES}, functions, tuple(sorted(targets.values())))


def _role_problems(manager: Contract, deployment: Deployment, role: Role) -> Iterator[str]:
    target: bytes = getattr(deployment, role.field)
    for function, selector in zip(role.functions, _selectors(role), strict=True):
        number = manager.call("getTargetFunctionRole", target, selector)
        if number != role.number:
            yield f"{role.contract}.{function} is of role {number}, wanted {role.number} ({role.name})"
    guardian = GUARDIAN.number if role in _CANCELLED_BY_GUARDIAN else ADMIN.number
    if manager.call("getRoleGuardian", role.number) != guardian:
        yield f"another role than {guardian} cancels what role {role.name} schedules"
    if manager.call("getRoleAdmin", role.number) != ADMIN.number:
        yield f"another role than admin grants role {role.name}"
    if role.functions and manager.call("isTargetClosed", target):
        yield f"{role.contract} is closed"


def _member_problems(found: dict[tuple[int, bytes], int], leaving: bytes | None) -> Iterator[str]:
    known = {role.number: role for role in ROLES}
    for (number, account), delay_s in found.items():
        role = known.get(number)
        if account == leaving and role is ADMIN:
            continue
        if role is None:
            yield f"0x{account.hex()} has role {number}, which is none of ours"
        elif delay_s < role.delay_s:
            yield f"0x{account.hex()} is {role.name} with a delay of {delay_s} s, wanted {role.delay_s} s"
    for role in ROLES:
        if not any(number == role.number and account != leaving for number, account in found):
            yield f"nobody is {role.name}"


def _members(manager: Contract, first: int) -> dict[tuple[int, bytes], int]:
    found = {}
    for number, account in grants(manager, first):
        is_member, delay_s = manager.call("hasRole", number, account)
        if is_member:
            found[number, account] = int(delay_s)
    return found


def _is_member(manager: Contract, role: Role, account: bytes) -> bool:
    return bool(manager.call("hasRole", role.number, account)[0])


def _selectors(role: Role) -> list[bytes]:
    return [interface(role.contract).selector(function) for function in role.functions]


def _manager(chain: Chain, deployment: Deployment) -> Contract:
    if deployment.manager is None:
        raise ServiceError(
            "administration", "this deployment is administered by direct keys: it has no manager"
        )
    return abi.at(chain, "AccessManager", deployment.manager)
