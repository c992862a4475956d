"""Programs start beside gRPC's threads: a supervisor asks some whether they serve while it starts others."""

import subprocess
import sys
from pathlib import Path

FORKS = 300
# As `pixvec up` does: the command line is loaded first.
PROGRAM = f"""
import pixvec.cli.main, subprocess, sys, threading
from pixvec.embedded.process import die_with_parent
from pixvec.embedded.stack import is_serving

def ask():
    while not done.is_set():
        is_serving("unix:" + sys.argv[1])

done = threading.Event()
askers = [threading.Thread(target=ask) for _ in range(3)]
for each in askers:
    each.start()
ends = [subprocess.run(["true"], preexec_fn=die_with_parent()).returncode for _ in range({FORKS})]
done.set()
for each in askers:
    each.join()
sys.exit(sum(end != 0 for end in ends))
"""


def test_no_program_is_lost_on_the_way_to_its_start(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "none.sock")], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
