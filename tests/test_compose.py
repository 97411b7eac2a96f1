"""What the deployment promises: the Compose file and the image's recipe, read as data."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from test_documents import names_read_by
from test_references import SECRETS

from run.programs import LANES

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STORES = {"redis", "postgres"}
APPS = set(SERVICES) - STORES - {"front"}
WORKERS = {f"worker-{lane}" for lane in LANES}
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
# Of an image: the tag is for people, the digest decides.
DIGEST = r"@sha256:[0-9a-f]{64}"
FRONT = (ROOT / "deploy" / "front.Dockerfile").read_text()
CADDYFILE = (ROOT / "deploy" / "Caddyfile").read_text()
REQUIRED = {
    name
    for name, _ in re.findall(r"\$\{(\w+):\?([^}]+)\}", (ROOT / "docker-compose.yml").read_text())
}

services = pytest.mark.parametrize("name", sorted(SERVICES))
apps = pytest.mark.parametrize("name", sorted(APPS))


def compose_command():
    """The command line of Compose on this machine, or None."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            asked = subprocess.run([*command, "version"], capture_output=True, check=False)
            if asked.returncode == 0:
                return command
    return None


@pytest.fixture
def config(tmp_path):
    """`docker compose config` with the given variables and no others."""
    command = compose_command()
    if command is None:
        pytest.skip("neither docker compose nor docker-compose is installed here")
    # A developer's own .env must not leak into the test.
    empty = tmp_path / "empty.env"
    empty.touch()

    def run(**environment):
        return subprocess.run(
            [*command, "--env-file", str(empty), "--file", "docker-compose.yml", "config"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_file_is_valid_and_hands_on_what_is_set(config):
    done = config(**dict.fromkeys(REQUIRED, "x"), ONEBOX_RATE="3")
    assert done.returncode == 0, done.stderr
    environment = yaml.safe_load(done.stdout)["services"]["worker-fetch"]["environment"]
    assert str(environment["ONEBOX_RATE"]) == "3"
    assert environment.get("ONEBOX_TIMEOUT") is None
    assert environment["ORDERBRIDGE_MODE"] == "shadow"


def test_a_forgotten_name_of_the_host_is_refused_with_what_it_is(config):
    done = config()
    assert done.returncode != 0
    assert "the name under which the world reaches this host is missing" in done.stderr


def test_only_the_name_of_the_host_is_required_by_compose_itself():
    """The systems may stand in a connections file, which only the product can read: it refuses what is half
    filled in, and to be a sandbox here.
    """
    assert {"ORDERBRIDGE_DOMAIN"} == REQUIRED
    for name in APPS:
        environment = SERVICES[name]["environment"]
        assert environment["ORDERBRIDGE_SANDBOX"] == "0"
        assert "ORDERBRIDGE_CONNECTIONS" in environment
        assert any(v.startswith("./connections:") for v in SERVICES[name]["volumes"])


def test_every_role_is_there_and_each_lane_has_workers_of_its_own():
    assert set(SERVICES) == STORES | WORKERS | {"migrate", "beat", "gateway", "flower", "front"}
    commands = {lane: SERVICES[f"worker-{lane}"]["command"] for lane in LANES}
    served = {
        lane: (command[command.index("-Q") + 1], int(command[command.index("-c") + 1]))
        for lane, command in commands.items()
    }
    assert served == LANES
    assert [command[command.index("-n") + 1] for command in commands.values()] == [
        f"{lane}@%h" for lane in LANES
    ]


@services
def test_every_service_has_the_least_it_needs(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]


@services
def test_every_service_but_the_one_shot_is_kept_running_and_has_a_health_check(name):
    if name == "migrate":
        assert SERVICES[name]["restart"] == "on-failure"
        assert "healthcheck" not in SERVICES[name]
    else:
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert SERVICES[name]["healthcheck"]["test"]


@services
def test_no_service_runs_as_root(name):
    if name in STORES:
        assert int(SERVICES[name]["user"].split(":")[0]) > 0
    else:
        built = FRONT if name == "front" else DOCKERFILE
        assert "user" not in SERVICES[name]
        assert re.search(r"^USER (\d+):\d+$", built, re.MULTILINE)[1] != "0"


def test_the_front_is_the_one_way_in_and_shows_the_world_its_two_ports_alone():
    published = {name for name in SERVICES if SERVICES[name].get("ports")}
    assert published == {"front"}
    to_all = {p for p in SERVICES["front"]["ports"] if not p.startswith("127.0.0.1:")}
    assert to_all == {"80:8080", "443:8443"}
    assert "http_port 8080" in CADDYFILE
    assert "https_port 8443" in CADDYFILE


def test_only_the_workers_and_the_front_have_a_way_out():
    networks = {name: set(SERVICES[name]["networks"]) for name in SERVICES}
    inside = {n for n, said in COMPOSE["networks"].items() if (said or {}).get("internal")}
    assert inside == {"stores", "doors"}
    assert {name for name in SERVICES if networks[name] - inside} == WORKERS | {"front"}
    assert {name for name in SERVICES if "stores" in networks[name]} == APPS | STORES
    assert all(networks[name] == {"stores"} for name in STORES)
    assert networks["front"] == {"doors", "outside"}


@services
def test_images_have_exact_tags_and_what_is_fetched_a_digest(name):
    image, _, tag = SERVICES[name]["image"].partition(":")
    exact = r"\d+\.\d+(\.\d+)?(-[a-z]+)?"
    ours = image.startswith("orderbridge")
    assert re.fullmatch(exact if ours else exact + DIGEST, tag), image
    assert (image == "orderbridge") == (name in APPS)
    assert (image == "orderbridge-front") == (name == "front")


def test_the_image_is_of_this_version_and_its_base_is_exact():
    assert {SERVICES[name]["image"] for name in APPS} == {
        f"orderbridge:{PROJECT['project']['version']}"
    }
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm" + DIGEST, bases[0])


def test_the_fronts_base_is_exact():
    (base,) = re.findall(r"^FROM (\S+)", FRONT, re.MULTILINE)
    assert re.fullmatch(r"caddy:\d+\.\d+\.\d+-alpine" + DIGEST, base)


def test_the_image_installs_hashed_wheels_and_keeps_no_build_tools():
    assert "--require-hashes --requirement requirements/run.txt" in DOCKERFILE
    assert "--only-binary :all:" in DOCKERFILE
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "pip uninstall --yes pip setuptools wheel" in last
    assert "apt-get" not in DOCKERFILE


def test_the_context_of_the_image_holds_the_whole_product_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {line[1:] for line in rules if line.startswith("!")}
    setuptools = PROJECT["tool"]["setuptools"]
    needed = {f"{name}.py" for name in setuptools["py-modules"]}
    needed |= {name.split(".")[0] for name in setuptools["packages"]}
    assert needed | {"pyproject.toml", "requirements"} <= let_in
    assert not let_in & {".env", ".git", ".venv", "var", "tests"}


@apps
def test_every_role_gets_every_setting(name):
    given = set(SERVICES[name]["environment"])
    # The image sets the data folder; secrets are handed to those that need them.
    elsewhere = {"ORDERBRIDGE_DATA", *SECRETS}
    files = ("settings", "variables", "default_pair")
    read = {n for f in files for n in names_read_by(f"{f}.py")}
    assert read - elsewhere <= given
    assert "ORDERBRIDGE_DATA=" in DOCKERFILE
    assert SERVICES[name]["environment"]["ORDERBRIDGE_SUPERVISED"] == "1"


@apps
def test_migration_comes_first(name):
    after = SERVICES[name]["depends_on"]
    if name != "migrate":
        assert after["migrate"] == {"condition": "service_completed_successfully"}
        assert after["redis"] == {"condition": "service_healthy"}
    assert after["postgres"] == {"condition": "service_healthy"}


def test_flower_reads_its_own_configuration():
    assert "--conf=flowerconfig.py" in SERVICES["flower"]["command"]


def test_redis_keeps_what_it_gets_and_lets_in_only_its_users():
    said = SERVICES["redis"]["command"]
    options = dict(zip(said[::2], said[1::2], strict=True))
    assert options == {
        "--aclfile": "/run/secrets/users.acl",
        "--dir": "/data",
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory": "512mb",
        "--maxmemory-policy": "noeviction",
    }


def test_the_script_that_makes_the_plain_role_is_run_and_not_read_in():
    """What the image reads in with `set -u` breaks what comes after it."""
    script = ROOT / "deploy" / "postgres" / "roles.sh"
    assert os.access(script, os.X_OK)
    assert (
        "./deploy/postgres/roles.sh:/docker-entrypoint-initdb.d/roles.sh:ro"
        in (SERVICES["postgres"]["volumes"])
    )


def test_no_password_stands_in_a_command_line():
    for service in SERVICES.values():
        words = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
        assert not any(re.search(r"(?<!\$)\$\{", word) for word in words)
