"""The training loop, its losses, checkpoints and what is measured on the way."""
