"""Measures this library beside others: ``make bench``; what telemetry costs: ``make cost``."""
