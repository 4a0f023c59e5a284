"""What settings name, opened: who checks orders needs no private key."""

from pathlib import Path

import pytest

from lading.cose import KeySigner, load_public, save_public
from lading.errors import ServiceError
from lading.opening import open_operator_public
from lading.settings import LadingSettings, Shared


def _shared(data: Path, **more: object) -> Shared:
    return Shared(lading=LadingSettings.model_validate({"data": data, **more}))


def test_the_public_file_is_enough(tmp_path: Path) -> None:
    """With `operator_public` the private key may be on another machine; without it, it is asked for its public half."""
    signer = KeySigner.generate()
    save_public(signer.public, tmp_path / "shared" / "operator.pub.pem")
    named = _shared(tmp_path, operator_public=Path("shared/operator.pub.pem"))
    assert open_operator_public(named) == signer.public
    with pytest.raises(ServiceError, match=r"operator\.pem"):
        open_operator_public(_shared(tmp_path))
    signer.save(tmp_path / "operator.pem")
    assert open_operator_public(_shared(tmp_path)) == signer.public


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_what_is_no_public_key_is_told(tmp_path: Path, content: bytes) -> None:
    """ServiceError with the file's name; so with a private key in its place."""
    path = tmp_path / "operator.pub.pem"
    path.write_bytes(content)
    with pytest.raises(ServiceError, match=r"operator\.pub\.pem holds no public key"):
        load_public(path)
    KeySigner.generate().save(tmp_path / "private.pem")
    with pytest.raises(ServiceError, match="holds no public key"):
        load_public(tmp_path / "private.pem")
