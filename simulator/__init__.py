"""Stand-ins of the shop OK Living and of the CRM OneBox, for the sandbox and for tests.

An honest double shares no code with what it tests: nothing of the product may be imported here.
"""
