"""Write the vectors: `python -m tests.vectors.generate`. They are frozen: a changed file is a changed format.

Bytes become 0x-hex; whole numbers above 2^53 become decimal text, so that JavaScript reads them exactly.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.vectors import (
    cases_anomaly,
    cases_batch,
    cases_cover,
    cases_documents,
    cases_evidence,
    cases_forecast,
    cases_frame,
    cases_receipt,
    cases_settlement,
    cases_settlement2,
    cases_totals,
    cases_tree,
    cases_withheld,
)

FOLDER = Path(__file__).parent
DIGESTS = FOLDER / "SHA256SUMS"
FILES = {
    "tree": cases_tree.tree,
    "signature": cases_tree.signature,
    "frame": cases_frame.frame,
    "batch": cases_batch.batch,
    "totals": cases_totals.totals_file,
    "limits": cases_totals.limits_file,
    "cbor": cases_documents.cbor_file,
    "assignment": cases_documents.assignment_file,
    "documents": cases_documents.documents_file,
    "receipt": cases_receipt.receipt_file,
    "anomaly": cases_anomaly.anomaly,
    "forecast": cases_forecast.forecast,
    "raw": cases_documents.raw_file,
    "settlement": cases_settlement.settlement,
    "settlement2": cases_settlement2.settlement2,
    "cover": cases_cover.cover,
    "evidence": cases_evidence.evidence,
    "withheld": cases_withheld.withheld,
}


def plain(value: Any) -> Any:
    """JSON's types only."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    return value


def text(name: str) -> str:
    return json.dumps(plain(FILES[name]()), indent=1, ensure_ascii=False) + "\n"


def sums(folder: Path) -> str:
    lines = [
        f"{sha256((folder / f'{name}.json').read_bytes()).hexdigest()}  {name}.json\n"
        for name in sorted(FILES)
    ]
    return "".join(lines)


def main() -> None:
    for name in FILES:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")
    DIGESTS.write_text(sums(FOLDER))


if __name__ == "__main__":
    main()
