"""`pixvec …` on the command line."""

# Before gRPC is loaded: see there.
import pixvec.embedded.process  # noqa: F401
