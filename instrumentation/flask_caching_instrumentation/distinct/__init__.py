"""How many different keys were looked up, in sliding windows, by all workers together."""
