"""What a person may see and do, each act with who did it: for command line, HTTP doors and console."""
