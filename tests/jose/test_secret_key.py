"""A secret key makes MACs and encrypts, with a separate derived key for each."""

import pytest

from app.jose.key_ring import SecretKey

SECRET = bytes(range(32))
KEY = SecretKey("name", SECRET)
OTHER = SecretKey("name", bytes(32))
PROFILE = b'{"phone_number": "+8613800138000"}'
FIXED_MAC = "df92bdf9998119d15fb16fd1de3726ae7ff62b802929d49d2aab51c1733443d6"
FIXED_CIPHERTEXT = (
    "158e0e95108bf045556cc84a99901b8cf4b47e4ef733416cacdb4e767b645219"
    "063160f5d9edabfb8318d61a0cd4e8b33419d330b8bcf3a91618a7497c7e"
)


def test_the_same_secret_gives_the_same_mac_in_any_process() -> None:
    assert KEY.mac(b"message") == SecretKey("another name", SECRET).mac(b"message")
    # Fixed for ever: another derivation would refuse every refresh token that is out there.
    assert KEY.mac(b"").hex() == FIXED_MAC
    assert len(KEY.mac(b"message")) == 32


def test_another_secret_or_message_gives_another_mac() -> None:
    assert len({KEY.mac(b"a"), KEY.mac(b"b"), OTHER.mac(b"a"), OTHER.mac(b"b")}) == 4


def test_the_same_key_and_context_decrypt_also_what_an_earlier_release_encrypted() -> None:
    restarted = SecretKey("after a restart", SECRET)
    for encrypted in (KEY.encrypt(PROFILE, b"session-a"), bytes.fromhex(FIXED_CIPHERTEXT)):
        assert restarted.decrypt(encrypted, b"session-a") == PROFILE


def test_another_key_or_context_does_not_decrypt() -> None:
    encrypted = KEY.encrypt(PROFILE, b"session-a")
    assert KEY.decrypt(encrypted, b"session-b") is None
    assert KEY.decrypt(encrypted, b"") is None
    assert OTHER.decrypt(encrypted, b"session-a") is None


def test_a_changed_bit_prevents_decryption() -> None:
    encrypted = KEY.encrypt(PROFILE, b"session-a")
    for position in range(len(encrypted)):
        changed = bytearray(encrypted)
        changed[position] ^= 1
        assert KEY.decrypt(bytes(changed), b"session-a") is None


@pytest.mark.parametrize("length", [0, 1, 7, 8, 11, 12, 13, 27, 28])
def test_a_ciphertext_that_is_too_short_is_not_decrypted(length: int) -> None:
    assert KEY.decrypt(bytes(length), b"session-a") is None


def test_the_same_profile_is_encrypted_differently_each_time() -> None:
    encrypted = {KEY.encrypt(PROFILE, b"session-a") for _ in range(100)}
    assert len({each[:12] for each in encrypted}) == 100
    assert not any(PROFILE[:8] in each for each in encrypted)
