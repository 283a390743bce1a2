"""Convolutions with a known operator norm on the padded input: one construction a module."""
