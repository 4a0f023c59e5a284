"""Promise: exactly one encoding of each value decodes, and it is the one other CBOR libraries write."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading import cbor
from lading.errors import MalformedError

values = st.recursive(
    st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=20)
    | st.booleans()
    | st.none(),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


def depth(value: object) -> int:
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(values)
def test_encoding_is_cbor2s_canonical_one(value: object) -> None:
    """The bytes equal another library's canonical bytes, and decode to the value."""
    data = cbor.encode(value)  # type: ignore[arg-type]
    assert data == cbor2.dumps(value, canonical=True)
    if depth(value) <= cbor.DEPTH_MAX:
        assert cbor.decode(data, 10_000) == value


@given(st.binary(max_size=60))
def test_whatever_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    """No second encoding: bytes either are refused or come back unchanged."""
    try:
        value = cbor.decode(data, 60)
    except MalformedError:
        return
    assert cbor.encode(value) == data


@pytest.mark.parametrize(
    "data",
    [
        "",  # nothing
        "1817",  # 23 with a longer head
        "190017",  # 23 with a still longer head
        "5f41004100ff",  # indefinite length
        "a0",  # map
        "c100",  # tag
        "f90000",  # float
        "f7",  # undefined
        "f8ff",  # simple value
        "62c328",  # text that is not UTF-8
        "9bffffffffffffffff",  # an array longer than the bytes
        "5bffffffffffffffff",  # a string longer than the bytes
        "0000",  # trailing bytes
        "81" * 9 + "00",  # too deep
    ],
)
def test_everything_outside_the_subset_is_refused(data: str) -> None:
    """Other majors, longer heads, trailing bytes, depth and lengths past the end are refused before allocation."""
    with pytest.raises(MalformedError):
        cbor.decode(bytes.fromhex(data), 100)


def test_a_document_past_its_limit_is_refused_unread() -> None:
    """The limit is checked before anything else."""
    with pytest.raises(MalformedError, match="at most 10"):
        cbor.decode(bytes(11), 10)
