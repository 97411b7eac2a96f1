"""The page at the root: what this is, how it stands, where the documents are; in both languages."""

from __future__ import annotations

import re
from html import unescape

import pytest
from gateway_calls import KEY

import lanes
from gateway import docs, home
from gateway.health import SEEN_KEY
from gateway.words import Lack
from gateway.workers import LANE_OF
from ledger import connections
from mapping.problems import LANGUAGES, phrases

UKRAINIAN = {"Accept-Language": "uk-UA,uk;q=0.9,en;q=0.8"}


@pytest.fixture
def made(gateway):
    return gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}")


def test_it_says_what_this_is_and_which_version_and_where_the_documents_are(made):
    answer = made.client.get("/")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert f"<h1>orderbridge {home.VERSION}</h1>" in answer.text
    assert 'lang="en"' in answer.text
    links = re.findall('href="([^"]*)"', answer.text)
    assert links
    for link in links:
        assert made.client.get(link).status_code in {200, 503}


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ({}, "en"),
        ({"Accept-Language": "en"}, "en"),
        ({"Accept-Language": "de, fr"}, "en"),
        ({"Accept-Language": "*"}, "uk"),
        ({"Accept-Language": "de, uk;q=0.2"}, "uk"),
        ({"Accept-Language": ";;q=x\t"}, "en"),
        (UKRAINIAN, "uk"),
    ],
)
def test_it_speaks_the_language_of_the_browser(made, wish, language):
    answer = made.client.get("/", headers=wish)
    assert f'lang="{language}"' in answer.text
    assert phrases("page", language)["what"] in unescape(answer.text)
    assert answer.headers["Vary"] == "Accept-Language"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_missing_is_said_in_that_language(made, language):
    shown = unescape(made.client.get("/", headers={"Accept-Language": language}).text)
    told = phrases("readiness", language)
    assert told["no_worker"] in shown
    assert phrases("page", language)["not_ready"] in shown
    assert phrases("page", language)["ready"] not in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_ready_is_said_where_readyz_says_it(made, language):
    made.redis.set(SEEN_KEY, "1")
    lanes.sign(made.redis, lanes.USED)
    now = made.ledger.now()
    held = connections.begin_poll(made.ledger, "okliving", now, 60)
    connections.end_poll(made.ledger, held, now, None)
    assert made.client.get("/readyz").status_code == 200
    shown = unescape(made.client.get("/", headers={"Accept-Language": language}).text)
    assert phrases("page", language)["ready"] in shown
    assert phrases("page", language)["not_ready"] not in shown


def test_what_is_known_in_no_other_language_is_said_as_it_is_and_is_text(made, monkeypatch):
    monkeypatch.setattr(
        home, "not_ready", lambda _: ["<b>new</b>", Lack("not_read_yet", name="<i>")]
    )
    shown = made.client.get("/", headers=UKRAINIAN).text
    assert "<li>&lt;b&gt;new&lt;/b&gt;</li>" in shown
    assert "&lt;i&gt;" in shown


def test_a_lack_is_english_for_machines():
    assert Lack("lane_unserved", lane="create") == "nobody serves the lane create"
    assert set(phrases("readiness", "en")) == set(phrases("readiness", "uk"))
    assert set(phrases("page", "en")) == set(phrases("page", "uk"))


def test_it_loads_nothing_and_its_policy_allows_its_own_style_alone(made):
    answer = made.client.get("/")
    assert not re.search(r"https?://|<script|<link|<img|<form| style=| on[a-z]+=", answer.text)
    docs = made.client.get("/api/docs").headers["Content-Security-Policy"]
    assert answer.headers["Content-Security-Policy"] == docs
    assert "default-src 'none'" in docs


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_can_only_be_looked_at(made, method):
    assert made.client.open("/", method=method, data=b"x").status_code == 405


def test_it_stands_while_the_ledger_and_redis_are_away(made):
    made.redis_server.connected = False
    made.ledger.close()
    shown = made.client.get("/")
    assert shown.status_code == 200


def test_an_unknown_address_below_it_stays_one(made):
    for path in ("/x", "/index.html", "//evil.example/", "/favicon.ico"):
        answer = made.client.get("/", environ_overrides={"PATH_INFO": path})
        assert answer.status_code == 404
        assert answer.is_json


def test_pages_are_limited_in_rate_by_themselves(gateway):
    made = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}", GATEWAY_RATE="1")
    statuses = {made.client.get("/").status_code for _ in range(20)}
    assert statuses == {200, 429}
    key = {"Authorization": f"Bearer {KEY}"}
    assert made.client.get("/api/v1/updates/1", headers=key).status_code == 404


def test_what_takes_no_key_keeps_no_thread_of_the_doors(made):
    """A ledger that is slow, or a crowd, would have them all."""
    rules = [rule.rule for rule in made.app.url_map.iter_rules() if not rule.arguments]
    taken = {path for path in rules if made.client.get(path).status_code in {200, 503}}
    assert {path.encode() for path in taken} == set(LANE_OF)


def test_the_document_is_made_once(made, monkeypatch):
    first = made.client.get("/api/docs").text
    monkeypatch.setattr(docs, "_document", lambda: pytest.fail("made again"))
    assert made.client.get("/api/docs").text == first
    assert made.client.get("/api/openapi.json").status_code == 200
