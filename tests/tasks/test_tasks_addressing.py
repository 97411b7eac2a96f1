"""Whom a tenant's orders are told, and the secret that signs it: kept sealed, and only read by its key."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from tenant_calls import NAME, add_tenant

from connections_file import SettingsError
from connectors.ports import Addressee
from ledger.database import open_ledger
from tasks import addressing

URL = "https://tenant.example/told"


def chosen(secret_key="key", *, sandbox=False):
    return SimpleNamespace(secret_key=secret_key, sandbox=sandbox)


@pytest.fixture
def ledger(tmp_path, migrated_file):
    path = shutil.copy(migrated_file, tmp_path / "ledger.db")
    opened = open_ledger(f"sqlite:///{path}")
    yield opened
    opened.close()


def test_secret_is_sealed_and_comes_back():
    sealed = addressing.seal(chosen(), "s3cr3t")
    assert b"s3cr3t" not in sealed
    assert addressing.unsealed(chosen(), sealed) == "s3cr3t"
    assert addressing.unsealed(chosen("another"), sealed) is None


def test_without_a_key_no_secret_is_kept():
    with pytest.raises(SettingsError, match="ORDERBRIDGE_SECRET_KEY is not set") as told:
        addressing.seal(chosen(None), "s3cr3t")
    assert "s3cr3t" not in str(told.value)


def test_sandbox_needs_no_key():
    of_sandbox = chosen(None, sandbox=True)
    sealed = addressing.seal(of_sandbox, "s")
    assert addressing.unsealed(chosen(None, sandbox=True), sealed) == "s"


@pytest.mark.parametrize("order_id", [f"{NAME}-5", f"{NAME.upper()}-5", f"{NAME}-99999999999"])
def test_addressee_is_of_the_orders_tenant(ledger, order_id):
    sealed = addressing.seal(chosen(), "s3cr3t")
    add_tenant(ledger, callback_url=URL, sealed_secret=sealed)
    found = addressing.addressee(ledger, chosen(), order_id)
    assert found == Addressee(NAME, URL, "s3cr3t")


@pytest.mark.parametrize("name", ["a-1", "a.b_c", "-"])
def test_name_may_have_dashes(ledger, name):
    sealed = addressing.seal(chosen(), "s")
    add_tenant(ledger, name, callback_url=URL, sealed_secret=sealed)
    assert addressing.addressee(ledger, chosen(), f"{name}-5").name == name


@pytest.mark.parametrize("order_id", ["nobody-5", NAME, "", "-5", f"{NAME}-", f"х{NAME}-5"])
def test_order_of_nobody_has_no_addressee(ledger, order_id):
    add_tenant(ledger, name="quiet")
    assert addressing.addressee(ledger, chosen(), order_id) is None
    assert addressing.addressee(ledger, chosen(), "quiet-5") is None


def test_secret_of_another_key_is_said_and_nobody_is_told_unsigned(ledger):
    add_tenant(ledger, callback_url=URL, sealed_secret=addressing.seal(chosen("old"), "s"))
    with pytest.raises(SettingsError, match=f"callback_secret of {NAME}.*orderbridge load"):
        addressing.addressee(ledger, chosen("new"), f"{NAME}-5")
