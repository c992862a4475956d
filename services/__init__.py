"""The processes that serve: each package is one of them."""
