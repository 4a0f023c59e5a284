"""Tenant and leg identifiers (docs/spec/README.md)."""

import re

from lading.errors import MalformedError
from lading.tree import sha256

TENANT_TYPE, LEG_TYPE = 7, 6
REFERENCE_BYTES_MAX = 128
LEG_SALT_BYTES = 16
_TENANT = re.compile(r"[a-z0-9-]{1,64}\Z")


def tenant_id(name: str) -> bytes:
    """H(07 ‖ name); MalformedError `tenant` unless the name is 1 to 64 of a-z, 0-9 and -."""
    if not _TENANT.match(name):
        raise MalformedError("tenant", f"name {name[:80]!r}, wanted 1 to 64 of a-z, 0-9 and -")
    return sha256(bytes([TENANT_TYPE]) + name.encode())


def leg_id(salt: bytes, reference: str) -> bytes:
    """H(06 ‖ salt ‖ reference): the commitment under which a leg is known on chain."""
    encoded = reference.encode()
    if len(salt) != LEG_SALT_BYTES or not 1 <= len(encoded) <= REFERENCE_BYTES_MAX:
        raise MalformedError(
            "leg", f"salt of {len(salt)} and reference of {len(encoded)} bytes, wanted 16 and 1..128"
        )
    return sha256(bytes([LEG_TYPE]) + salt + encoded)
