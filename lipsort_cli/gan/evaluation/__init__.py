"""How good a generator is, measured on fresh samples against data that nothing was trained on."""
