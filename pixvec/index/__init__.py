"""Shards of FAISS segments and their snapshots: arrays in, arrays out."""
