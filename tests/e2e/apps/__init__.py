"""Applications as people write them for the released Flask-Caching; nothing of ours in them."""
