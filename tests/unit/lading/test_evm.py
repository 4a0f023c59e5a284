"""Promise: the embedded chain leaves its process as robust as it found it."""

import subprocess
import sys

DEEP = """
import json, threading
import lading.evm

def refused() -> None:
    try:
        json.loads("[" * 1_000_000)
    except RecursionError:
        print("refused")

refused()
thread = threading.Thread(target=refused)
thread.start()
thread.join()
"""


def test_deep_json_is_refused_beside_the_chain() -> None:
    """A message of a million brackets is an error, in any thread, and not the end of the process."""
    done = subprocess.run(
        [sys.executable, "-c", DEEP], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["refused", "refused"])
