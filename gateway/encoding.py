"""How answers are written as JSON: letters of every language as they are, what is no letter escaped.

In: what a door answers. Out: JSON as text, in which nothing steers a terminal or turns words round. Fails for
what has no JSON form, which is a fault of ours. Used by gateway/app.py.
"""

from __future__ import annotations

from typing import Any

from flask.json.provider import DefaultJSONProvider

from plain_text import escaped


class ReadableJson(DefaultJSONProvider):
    """Flask's own, which would write each Ukrainian letter as six characters."""

    ensure_ascii = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return escaped(super().dumps(obj, **kwargs))
