"""The text of keys."""

import pytest

from accounts import keys


def test_a_key_survives_its_own_text():
    for _ in range(200):
        key = keys.generate()
        assert keys.parse(str(key)) == key
        assert str(key).startswith(f"cx_{key.prefix}_")
        assert len(key.prefix) == 8
        assert len(key.secret) == 43  # 256 bits in base64
        assert key.proves(key.secret_sha256)
        assert not keys.generate().proves(key.secret_sha256)


def test_a_key_does_not_show_its_secret_in_a_log():
    key = keys.generate()
    assert key.secret not in repr(key)


@pytest.mark.parametrize(
    "text",
    ["", "cx", "cx__", "cx_short_" + "x" * 43, "sk_abcdefgh_" + "x" * 43, "cx_abcdefgh_short",
     "cx_abcdefgh_" + "x" * 101, "cx_abcdéfgh_" + "x" * 43, "cx_abcdefg!_" + "x" * 43],
)  # fmt: skip
def test_what_is_no_key(text):
    assert keys.parse(text) is None
