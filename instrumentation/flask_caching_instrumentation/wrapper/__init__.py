"""The wrapper around every backend, which times each call to it."""
