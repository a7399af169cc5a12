"""Several worker processes: the files that they share, and a scrape of all of them."""
