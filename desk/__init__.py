"""What a person may see and do, each act with who did it: for the command line, the HTTP doors and a console."""
