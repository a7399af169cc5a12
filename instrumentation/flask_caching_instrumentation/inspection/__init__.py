"""Looking into an application's caches: what the debug pages, their JSON and the terminal share."""
