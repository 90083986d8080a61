import pytest

from patchline_kit.contacts import without_secrets


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        ("file:notices/a.log", "file:notices/a.log"),
        ("mailto://user:s3cret@example.org?to=ops", "mailto://example.org/…"),
        ("json://user:s3cret@example.org/token", "json://example.org/…"),
        ("slack://bot@TokenA/TokenB/TokenC", "slack://…"),
        ("tgram://123:token/456", "tgram://…"),
        ("no address", "(a contact)"),
    ],
)
def test_a_contact_is_shown_without_what_would_let_a_reader_use_it(contact, shown):
    assert without_secrets(contact) == shown
