"""One module a command: configuration in, run directory out."""
