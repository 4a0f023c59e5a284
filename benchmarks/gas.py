"""`python -m benchmarks.gas`: what a claim costs on chain, beside two insurance systems that were run the same way.

Ours: contracts/snapshots/, whole transactions by forge --isolate, hardfork Osaka. The peers' own code and
example was built and run by forge --isolate too, for the project's reference notes: UMA's Insurance.sol on
OptimisticOracleV3 (repository of May 2026, solc 0.8.16, 1,000,000 runs; an undisputed claim: requestPayout, two hours,
settleAssertion) and Etherisc GIF v3's Fire example (repository of October 2024, solc 0.8.26, 200 runs; submitClaim,
confirm and payout in one transaction after the report). They are quoted here, not run. They decide any fact, we only
what readings show.
"""

import json
from importlib.resources import files

PEERS = {
    "UMA OOv3: a claim, two transactions and two hours": 275_358 + 142_585,
    "Etherisc GIF v3: a claim": 1_301_225,
}
OURS = ("anchor", "penalty", "payout")


def main() -> None:
    """One line an operation, with the peers' gas over ours."""
    folder = files("contracts") / "snapshots"
    parts = [json.loads(one.read_text()) for one in folder.iterdir() if one.name.endswith(".json")]
    found = {name: gas for part in parts for name, gas in part.items()}
    for name, gas in PEERS.items():
        print(f"{gas:>10,}  {name}")
    for name, text in sorted(found.items()):
        if any(word in name for word in OURS):
            gas = int(text)
            ratios = ", ".join(f"{peer / gas:.1f} ×" for peer in PEERS.values())
            print(f"{gas:>10,}  {name}" + ("" if name.startswith("anchor") else f"  ({ratios})"))


if __name__ == "__main__":
    main()
