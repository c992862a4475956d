"""The terminal, which shows names and messages as they are: none is taken for markup, none is folded."""

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console over stdout or stderr."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)
