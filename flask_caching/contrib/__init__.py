"""Names of contributed backends, kept so that importing them says what to use instead."""
