"""pixvec: pictures in, vectors out, and pictures found again."""

__version__ = "0.1.0"
