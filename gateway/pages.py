"""Makes the pages that people read in a browser: without scripts, and with nothing from elsewhere.

In: the name of a template and its values. Out: the answer, whose policy allows our one style and nothing
else. Called by the doors of pages: gateway/docs.py and gateway/home.py.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from flask import Response, make_response, render_template
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (TEMPLATES / "page.css").read_text("utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def page(template: str, **values: Any) -> Response:
    """A page of ours."""
    style = Markup(_STYLE)  # noqa: S704  our own file
    response = make_response(render_template(template, style=style, **values))
    response.headers["Content-Security-Policy"] = POLICY
    return response
