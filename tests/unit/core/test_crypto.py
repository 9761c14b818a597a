"""Field encryption: the key's id beside each ciphertext, and rotation."""

import base64

import pytest
from django.core.exceptions import ImproperlyConfigured

from core import crypto

OLD = "k1:" + base64.urlsafe_b64encode(b"1" * 32).decode()
NEW = "k2:" + base64.urlsafe_b64encode(b"2" * 32).decode()


def test_what_an_old_key_wrote_is_read_and_written_anew(settings):
    settings.FIELD_ENCRYPTION_KEYS = OLD
    old = crypto.encrypt("ssh root@10.0.0.1 密码")
    assert crypto.key_id_of(old) == "k1"
    assert "10.0.0.1" not in old
    settings.FIELD_ENCRYPTION_KEYS = f"{NEW},{OLD}"
    assert crypto.decrypt(old) == "ssh root@10.0.0.1 密码"
    new = crypto.rotated(old)
    assert crypto.key_id_of(new) == "k2"
    assert crypto.rotated(new) == new
    settings.FIELD_ENCRYPTION_KEYS = NEW
    assert crypto.decrypt(new) == "ssh root@10.0.0.1 密码"
    with pytest.raises(crypto.Undecipherable, match="no field encryption key with id 'k1'"):
        crypto.decrypt(old)


@pytest.mark.parametrize("changed", ["k1:", "k1:zzz", "k1", "", "k9:abc", "k1:é"])
def test_a_changed_ciphertext_is_refused(settings, changed):
    settings.FIELD_ENCRYPTION_KEYS = OLD
    with pytest.raises(crypto.Undecipherable):
        crypto.decrypt(changed)


@pytest.mark.parametrize("configured", ["", "k1", "k1:short", f"{OLD},{OLD}", ":x"])
def test_bad_keys_are_told_at_once(settings, configured):
    settings.FIELD_ENCRYPTION_KEYS = configured
    with pytest.raises(ImproperlyConfigured):
        crypto.encrypt("x")
