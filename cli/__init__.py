"""The command `orderbridge`: parses what people and scripts ask for, and prints what the desk answers."""
