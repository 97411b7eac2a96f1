"""What each kind of system can do for the pipeline: its client and its mapping, joined."""
