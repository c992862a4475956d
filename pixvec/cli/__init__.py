"""`pixvec …` on the command line."""
