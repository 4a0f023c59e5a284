"""Packs made with kpn-senml, in JSON and CBOR (hex)."""

import json
import sys

from kpn_senml import SenmlPack, SenmlRecord


def made(asked: dict) -> SenmlPack:
    pack = SenmlPack(asked["base"])
    pack.base_time, pack.base_unit, pack.base_value = asked.get("time"), asked.get("unit"), asked.get("value")
    for name, more in asked["records"]:
        pack.add(SenmlRecord(name, **more))
    return pack


def main() -> None:
    for line in sys.stdin:
        pack = made(json.loads(line))
        print(json.dumps([pack.to_json(), pack.to_cbor().hex()]), flush=True)


if __name__ == "__main__":
    main()
