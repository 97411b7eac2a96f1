"""Makes the pages that people read in a browser: without scripts, and with nothing from elsewhere.

In: the name of a template and its values; then the page. Out: the page; then its answer, whose policy allows
our one style and nothing else. Called by the doors of pages: gateway/docs.py,
gateway/createorder_docs.py and gateway/home.py.
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


def rendered(template: str, **values: Any) -> str:
    """A page of ours."""
    return render_template(template, style=Markup(_STYLE), **values)  # noqa: S704  our own file


def answer(page: str) -> Response:
    """The answer with this page."""
    response = make_response(page)
    response.headers["Content-Security-Policy"] = POLICY
    return response
