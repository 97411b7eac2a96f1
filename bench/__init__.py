"""The benchmark: `make bench`. Each figure is set against its limit or a bare rival in the same run."""
