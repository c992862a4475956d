"""pixvec: pictures in, vectors out, and pictures found again."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixvec.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # On first use only: every process imports pixvec, and few of them need the client.
    if name in ("AsyncClient", "Client"):
        return getattr(import_module("pixvec.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
