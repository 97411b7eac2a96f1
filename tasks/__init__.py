"""The pipeline: what is fetched, created and kept in order. `-A tasks` finds the app by this name."""

from tasks.app import app

__all__ = ["app"]
