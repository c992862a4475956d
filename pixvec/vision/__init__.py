"""Decoding, preprocessing and models: pixels in, vectors out."""
