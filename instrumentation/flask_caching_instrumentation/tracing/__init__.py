"""OpenTelemetry: the spans of lookups, loads, waits and calls to the store."""
