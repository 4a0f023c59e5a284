"""What the commands of this stage open from the settings."""

from dataclasses import dataclass
from pathlib import Path

from contracts.agreements import Agreement, AgreementFolder
from contracts.covers import CoverFolder
from contracts.drafting import Place
from contracts.escrows import Escrow, escrows_of
from contracts.insurance import Insurance
from contracts.ledger import Ledger
from contracts.money import Money, money_of
from contracts.settings import SettleSettings
from lading import settings
from lading.account import Account
from lading.chain import Chain, connect
from lading.deployment import Deployment
from lading.errors import ServiceError
from lading.onchain import open_deployment
from lading.opening import open_log
from lading.settings import Shared

PREFIX_HEX_MIN = 8


@dataclass(frozen=True, slots=True)
class Bench:
    """An installation's settings, with its chain and the contracts there."""

    shared: Shared
    own: SettleSettings
    chain: Chain
    deployment: Deployment
    escrows: tuple[Escrow, ...]

    @property
    def folder(self) -> Path:
        """Where the stage finds its agreements."""
        return self.shared.lading.below(self.own.agreements)

    def agreements(self) -> AgreementFolder:
        """The stage's agreements, of every escrow that is served."""
        return AgreementFolder(self.folder, [(one.version, one.domain) for one in self.escrows])

    def insurance(self) -> Insurance:
        """The cover contract; ServiceError `deployment` where there is none."""
        return Insurance(self.chain, self.deployment)

    def covers(self) -> CoverFolder:
        """The stage's covers."""
        return CoverFolder(self.shared.lading.below(self.own.covers), self.insurance().domain)

    def escrow_of(self, agreement: Agreement) -> Escrow:
        """The escrow that an agreement was made for; ServiceError `escrow` where it is none of the deployment's."""
        for one in self.escrows:
            if one.domain == agreement.domain:
                return one
        known = ", ".join(f"0x{one.address.hex()}" for one in self.escrows)
        raise ServiceError(
            "escrow",
            f"the agreement is for 0x{agreement.domain.escrow.hex()} on chain {agreement.domain.chain_id},"
            f" wanted {known} on chain {self.chain.chain_id}",
        )

    def money(self, token: bytes) -> Money:
        """How a token's amounts are written."""
        return money_of(self.chain, token)

    def place(self) -> Place:
        """What new terms are drafted for."""
        window_min_s = int(self.escrows[0].contract.call("windowMinS"))
        return Place(self.deployment.token, self.money(self.deployment.token), window_min_s)

    def account(self, path: Path) -> Account:
        """A key file: beside the operator's, or else where the path leads."""
        beside = self.shared.lading.beside_operator(path)
        return Account.load(path if path.is_file() and not beside.is_file() else beside)

    def find(self, text: str) -> Agreement:
        """An agreement of the stage by its id, or the beginning of it; ServiceError `agreement_unknown`."""
        known, wanted = self.agreements()(), text.lower().removeprefix("0x")
        found = [
            one
            for key, one in known.items()
            if len(wanted) >= PREFIX_HEX_MIN and key.hex().startswith(wanted)
        ]
        if len(found) != 1:
            shown = ", ".join(sorted(key.hex()[:16] for key in known)[:8]) or "none"
            raise ServiceError(
                "agreement_unknown", f"{text!r} means {len(found)} agreements; there are {shown}"
            )
        return found[0]

    def ledger(self) -> Ledger:
        """The log as far as payments need it, read anew."""
        ledger = Ledger(open_log(self.shared), ":memory:")
        ledger.catch_up()
        return ledger


def load(config: Path) -> tuple[Shared, SettleSettings]:
    """The shared settings and this stage's."""
    return settings.load_shared(config), settings.load(config, "settle", SettleSettings)


def open_bench(config: Path) -> Bench:
    """Everything of an installation that agreements need; ServiceError where chain or contracts are not there."""
    shared, own = load(config)
    chain = connect(shared.chain.rpc)
    deployment = open_deployment(shared, chain, "escrow")
    return Bench(shared, own, chain, deployment, escrows_of(chain, deployment))
