"""The catalogue: collections, images, jobs, the change feed and its followers."""
