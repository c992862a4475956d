"""Generated wire contract: see protos/."""
