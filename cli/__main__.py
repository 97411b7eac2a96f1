"""`python -m cli` is `orderbridge`."""

from cli.app import main

main()
