"""A process that follows its parent is gone when its parent is."""

import os
import subprocess
import sys

STARTS_A_FOLLOWER = """
import os, subprocess, sys
follower = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
assert follower.stdout.readline() == b"follows\\n"
os.write(1, b"%d\\n" % follower.pid)
"""
FOLLOWS = """
import time
from pixvec.lifeline import follow_parent
follow_parent()
print("follows", flush=True)
time.sleep(100)
"""


def test_a_follower_dies_with_its_parent() -> None:
    # The follower inherits standard error: the pipe has no writer left only once both are gone.
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_A_FOLLOWER, FOLLOWS], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        output, complaints = parent.communicate(timeout=60)
    assert int(output) > 0
    assert complaints == b""


def test_a_follower_of_one_who_is_gone_does_not_begin() -> None:
    script = "import sys; from pixvec.lifeline import follow_parent; follow_parent(int(sys.argv[1])); print('begun')"
    for parent, status, output in ((os.getpid(), 0, b"begun\n"), (2**22 + 1, 127, b"")):
        ended = subprocess.run(
            [sys.executable, "-c", script, str(parent)], stdout=subprocess.PIPE, timeout=60, check=False
        )
        assert (ended.returncode, ended.stdout) == (status, output)
