"""Every process that is started writes for its user alone, whatever it was started with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from whole.system import ROOT, System, free_port

pytestmark = pytest.mark.whole

ENTRY_POINTS = {
    "worker": ["celery", "-A", "tasks", "worker", "-c", "2", "--without-mingle"],
    "beat": ["celery", "-A", "tasks", "beat", "-s", "{folder}/schedule", "--pidfile={folder}/pid"],
    "flower": ["celery", "-A", "tasks", "flower", "--conf=flowerconfig.py"],
    "gateway": ["cli", "gateway", "--port", "{port}"],
    "shop": ["simulator", "shop", "--port", "0"],
    "crm": ["simulator", "crm", "--port", "0"],
}
# Closed to all but its user, and of use to nobody else: a number.
PLAIN = {"pid"}


def umask(process):
    """That of a running process. Source: man7.org/linux/man-pages/man5/proc_pid_status.5.html."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("Umask"))


def family(process):
    return [process, *psutil.Process(process.pid).children(recursive=True)]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_every_entry_point_writes_for_its_user_alone(tmp_path):
    data = tmp_path / "data"
    with System(tmp_path, f"sqlite:///{data / 'ledger.db'}") as system:
        data.chmod(0o700)
        env = system.environment | {"ORDERBRIDGE_DATA": str(data), "FLOWER_BASIC_AUTH": "a:b"}
        env["FLOWER_PORT"] = str(free_port())
        started = {}
        try:
            for name, words in ENTRY_POINTS.items():
                filled = [word.format(folder=data, port=free_port()) for word in words]
                with (tmp_path / f"{name}.log").open("wb") as log:
                    started[name] = subprocess.Popen(
                        ["/bin/sh", "-c", 'umask 000; exec "$0" -m "$@"', sys.executable, *filled],
                        cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True,
                    )  # fmt: skip
            for process in started.values():
                system.wait_until(lambda p=process: {umask(one) for one in family(p)} == {"0077"})
            system.wait_until(lambda: [*data.glob("schedule*")])
        finally:
            for process in started.values():
                system.kill(process)
        open_ones = [p for p in data.rglob("*") if p.stat().st_mode & 0o077 and p.name not in PLAIN]
        assert open_ones == []


def test_the_table_names_every_program_of_the_house():
    """A program that somebody adds is in the table, or started by one that is."""
    found = {path.parent.name for path in ROOT.glob("*/__main__.py")}
    assert found <= {"cli", "simulator", "bench"}
    assert os.access(ROOT / "flowerconfig.py", os.R_OK)
