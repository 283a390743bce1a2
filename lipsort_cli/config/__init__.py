"""Typed configurations: schema, registration, composition, validation."""
