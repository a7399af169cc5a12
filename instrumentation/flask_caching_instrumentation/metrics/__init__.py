"""Counting, and what is made of it: the catalogue, what counts, and what registries ask."""
