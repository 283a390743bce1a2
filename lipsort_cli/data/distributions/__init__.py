"""Synthetic pairs of distributions whose Wasserstein-1 distance and potential are known."""
