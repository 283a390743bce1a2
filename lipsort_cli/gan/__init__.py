"""Wasserstein GANs: generators, critics, their training, and how good the result is."""
