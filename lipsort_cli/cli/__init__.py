"""What stands between the shell and a command: Hydra entry, help pages, completion."""
