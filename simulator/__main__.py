"""Runs a stand-in as a process: `python -m simulator shop`, `crm` or `service`.

Change it when a flag is added. Prints one JSON line {"url": ...} when ready.
"""

import argparse
import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import get_args

import orjson

from simulator.crm import Crm, DeadToken, ErrorForm, PasswordForm
from simulator.crm import Shape as BodyShape
from simulator.faults import Fault, everything
from simulator.remote import Remote
from simulator.server import serve
from simulator.service import AddressPolicy, ErrorStatus, Service
from simulator.shop import Envelope, Grant, Mode, Paging, Shop


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="simulator", description=__doc__)
    systems = top.add_subparsers(dest="system", required=True)
    shop = systems.add_parser("shop", help="the shop OK Living")
    shop.add_argument("--client-id", default=Shop.client_id)
    shop.add_argument("--client-secret", help="or SIM_CLIENT_SECRET")
    shop.add_argument("--trickle", type=float, default=0.0, help="seconds between new orders")
    shop.add_argument("--history", type=int, default=0, help="past orders at the first start")
    shop.add_argument("--seed", type=int, help="the same orders and faults every time")
    shop.add_argument("--mode", choices=get_args(Mode), default=Shop.mode)
    shop.add_argument("--envelope", choices=get_args(Envelope), default=Shop.envelope)
    shop.add_argument("--paging", choices=get_args(Paging), default=Shop.paging)
    shop.add_argument("--grant", choices=get_args(Grant), default=Shop.grant)
    shop.add_argument("--token-life", type=float, default=Shop.token_life, help="seconds")
    crm = systems.add_parser("crm", help="the CRM OneBox")
    crm.add_argument("--login", default=Crm.login)
    crm.add_argument("--password", help="or SIM_PASSWORD")
    crm.add_argument("--workflow-id", default=Crm.workflow_id)
    crm.add_argument("--status-id", default=Crm.status_id)
    crm.add_argument("--seed", type=int, help="the same faults every time")
    crm.add_argument("--password-form", choices=get_args(PasswordForm), default=Crm.password_form)
    crm.add_argument("--dead-token", choices=get_args(DeadToken), default=Crm.dead_token)
    crm.add_argument("--shape", choices=get_args(BodyShape), default=Crm.shape)
    crm.add_argument("--error-form", choices=get_args(ErrorForm), default=Crm.error_form)
    crm.add_argument("--loose", action="store_true", help="order/get answers too much")
    crm.add_argument("--race", type=float, default=Crm.race, help="seconds, look-up to insert")
    crm.add_argument("--token-life", type=float, default=Crm.token_life, help="seconds")
    service = systems.add_parser("service", help="a service that speaks CreateOrder")
    service.add_argument("--tenant", default=Service.tenant)
    service.add_argument("--zone", default=Service.zone, help="of its times")
    service.add_argument("--token", help="or SIM_TOKEN; without it none is asked for")
    service.add_argument("--honours-keys", action="store_true", help="knows an Idempotency-Key")
    service.add_argument(
        "--address-policy", choices=get_args(AddressPolicy), default=Service.address_policy
    )
    service.add_argument(
        "--error-status", choices=get_args(ErrorStatus), default=Service.error_status
    )
    service.add_argument("--seed", type=int, help="the same faults every time")
    for system in (shop, crm, service):
        system.add_argument("--host", default="127.0.0.1")
        system.add_argument("--port", type=int, default=0)
        system.add_argument("--data", type=Path, help="folder of the journal; without it memory")
        system.add_argument("--ready-file", type=Path, help="the JSON line is written there too")
        system.add_argument("--latency", type=float, default=0.0, help="seconds for every call")
        system.add_argument("--chaos", type=float, default=0.0, help="share of calls that fail")
    return top


def build(options: argparse.Namespace) -> Remote:
    """The stand-in the flags ask for; secrets not given as flags come from the environment."""
    if options.system == "shop":
        secret = options.client_secret or os.environ.get("SIM_CLIENT_SECRET", Shop.client_secret)
        return Shop(
            data=options.data,
            client_id=options.client_id,
            client_secret=secret,
            mode=options.mode,
            envelope=options.envelope,
            paging=options.paging,
            grant=options.grant,
            token_life=options.token_life,
            trickle=options.trickle,
            history=options.history,
            seed=options.seed,
        )
    if options.system == "service":
        return Service(
            data=options.data,
            tenant=options.tenant,
            zone=options.zone,
            token=options.token or os.environ.get("SIM_TOKEN", ""),
            honours_keys=options.honours_keys,
            address_policy=options.address_policy,
            error_status=options.error_status,
            callback_secret=os.environ.get("SIM_CALLBACK_SECRET", ""),
        )
    return Crm(
        data=options.data,
        login=options.login,
        password=options.password or os.environ.get("SIM_PASSWORD", Crm.password),
        workflow_id=options.workflow_id,
        status_id=options.status_id,
        password_form=options.password_form,
        dead_token=options.dead_token,
        shape=options.shape,
        error_form=options.error_form,
        loose=options.loose,
        race=options.race,
        token_life=options.token_life,
    )


def main(arguments: list[str] | None = None) -> None:
    os.umask(0o077)  # its journal holds what the product sent it
    options = parser().parse_args(arguments)
    app = build(options)
    if options.seed is not None:
        app.faults.seed(options.seed)
    if options.latency:
        app.faults.add(Fault("latency", seconds=options.latency))
    if options.chaos:
        app.faults.add(everything(probability=options.chaos))

    def ready(url: str) -> None:
        line = orjson.dumps({"url": url}, option=orjson.OPT_APPEND_NEWLINE).decode()
        if options.ready_file is not None:
            # Renamed into place, so that a reader never sees half of it.
            draft = options.ready_file.with_suffix(".new")
            draft.write_text(line)
            draft.replace(options.ready_file)
        sys.stdout.write(line)
        sys.stdout.flush()

    asyncio.run(serve(app, options.host, options.port, ready))
    # A full collection of all orders at exit would outlast the second a stop may take.
    gc.freeze()


if __name__ == "__main__":
    main()
