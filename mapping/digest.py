"""Tells two bodies for a target apart by a hash: the same for the same body, in whatever order its keys are.

In: a composed body, or None where nothing could be composed. Out: 32 characters. Never fails for what a
profile composes. Called by tasks/storing and tasks/creating.
"""

from __future__ import annotations

import json
from hashlib import blake2b

import orjson


def body_hash(body: object) -> str:
    try:
        packed = orjson.dumps(body, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:  # an integer of more than 64 bits, half of a surrogate pair
        packed = json.dumps(body, sort_keys=True, default=str).encode()
    return blake2b(packed, digest_size=16).hexdigest()
