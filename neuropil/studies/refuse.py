"""Refusals: what a user asked for cannot be done, said in one line."""

import difflib
from collections.abc import Iterable


class Refused(ValueError):
    """A request that cannot be met; its text is one line that names the thing and the fix.

    `code` is the exit status of the command line: 2 for a wrong request, 1 for a run that failed,
    130 for one that was interrupted.
    """

    def __init__(self, line: str, code: int = 2):
        super().__init__(" ".join(str(line).split()))
        self.code = code


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint to the nearest valid name, or the list of them where none is near.

    >>> nearest("hlpo", ["hlop", "neuroformer"])
    'did you mean hlop?'
    >>> nearest("x", ["smoke", "small"])
    'valid: smoke, small'
    """
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"valid: {shown}" if names else "there are none"
