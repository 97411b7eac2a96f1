"""The addresses of those who are told: how they are separated, what is shown of them, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import channels
from connections_file import SettingsError


def names(text):
    return [channel.name for channel in channels.listed(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" , \n", []),
        ("tgram://123:secret/45", ["1 tgram://…"]),
        ("tgram://a/1,discord://b/c", ["1 tgram://…", "2 discord://…"]),
        ("tgram://a/1\n\njson://example.org/x\n", ["1 tgram://…", "2 json://example.org"]),
        ("mailto://u:p@example.org?to=a@b.ua,c@d.ua, json://h.org", [
            "1 mailto://example.org", "2 json://h.org",
        ]),
        ("JSON://Example.org:8080/secret", ["1 json://example.org"]),
        ("json://[::1]:8080/secret", ["1 json://::1"]),
        # What is not percent-encoded ends the host too soon: a part of a password would stand there.
        ("mailto://user:pa/ss@example.org", ["1 mailto://…"]),
        ("mailto://user:pa#ss@example.org", ["1 mailto://…"]),
        ("mailto://user:pa?ss@example.org", ["1 mailto://…"]),
        ("mailto://user:p[a@example.org", ["1 mailto://…"]),
        ("ntfy://topic-that-is-secret", ["1 ntfy://…"]),
    ],
)  # fmt: skip
def test_addresses_are_separated_and_shown_by_scheme_and_host_alone(text, found):
    assert names(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "hidden-token",
        "tgram:/hidden-token",
        "tgram://hidden token",
        "://hidden-token",
        "tgram://",
        ",".join(f"json://hidden-token-{n}" for n in range(11)),
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence_that_does_not_show_it(text):
    with pytest.raises(SettingsError, match=r"^ORDERBRIDGE_NOTIFY") as refused:
        channels.listed(text)
    assert "hidden" not in str(refused.value)


@given(st.text("abcXYZ09:@/?#&=%[]. ,", max_size=40))
def test_no_secret_is_shown_whatever_it_holds(secret):
    """A password stands before the host, a token in its place or behind it."""
    marked = f"Sq7{secret}Sq8"
    for text in (
        f"tgram://{marked}/1",
        f"mailto://user:{marked}@host.ua",
        f"json://host.ua/{marked}",
    ):
        try:
            shown = "".join(map(repr, channels.listed(text))) + "".join(names(text))
        except SettingsError as exc:
            shown = str(exc)
        assert "sq7" not in shown.lower()


def test_what_apprise_does_not_understand_is_told_without_the_address():
    (channel,) = channels.listed("tgrm://hidden")
    told = str(channels.not_understood(channel))
    assert "tgrm://…" in told
    assert "hidden" not in told


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("json://127.0.0.1:80/x", True), ("json://localhost", True), ("json://127.0.0.1.evil.org", False),
        ("tgram://127.0.0.1/1", False), ("json://example.org", False),
    ],
)  # fmt: skip
def test_what_leads_to_this_machine_alone_is_known(text, local):
    (channel,) = channels.listed(text)
    assert channel.is_local is local


@pytest.mark.parametrize(
    "text", ["https://hc-ping.com/uuid", "http://127.0.0.1:1/x", "https://kuma.ua/api?status=up"]
)
def test_a_heartbeat_goes_to_a_url(text):
    assert channels.heartbeat_url(f" {text}\n") == text
    assert channels.heartbeat_url(" ") is None


@pytest.mark.parametrize(
    "text",
    ["hidden", "ftp://hidden.ua", "http://hidden.ua", "https://", "https://hidden.ua:99999/x", "https://a b"],
)  # fmt: skip
def test_a_heartbeat_that_anybody_could_hear_or_nobody_is_refused(text):
    with pytest.raises(SettingsError, match="ORDERBRIDGE_HEARTBEAT_URL must") as refused:
        channels.heartbeat_url(text)
    assert "hidden" not in str(refused.value)
