"""Wasserstein-1 distances: transport, critics, and bounds on both sides."""
