"""One run of the whole system under all faults at once, drawn from a seed; play.py says how it goes."""
