"""What each kind of system needs and can do for the pipeline: client and mapping, joined."""
