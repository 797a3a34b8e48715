"""Kill processes that save a model, at random moments, and look at what they leave.

    python -P -m bench.storage.kill --kills 500

Every kill must leave the old or the new file, whole, and the next save nothing beside it.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time

import fastbp as fb

_SAVES = """
import sys
import fastbp as fb
path, n = sys.argv[1], 0
net = fb.Network([200, 400, 10], seed=0)
while True:
    net.parameters["dense_1/bias"][:] = n
    net.save(path, metadata={"n": n})
    if n == 0:
        print("begun", flush=True)
    n += 1
"""


def kill(path: str, seconds: float) -> tuple[bool, int]:
    """Whether the file is whole, and how many files were left beside it until the next save."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _SAVES, path], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()
    left = len(os.listdir(os.path.dirname(path))) - 1
    network = fb.Network.load(path)
    is_whole = bool((network.parameters["dense_1/bias"] == network.metadata["n"]).all())
    network.save(path)
    if os.listdir(os.path.dirname(path)) != [os.path.basename(path)]:
        raise SystemExit("an orphan has stayed")
    return is_whole, left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--suffix", choices=["npz", "safetensors"], default="npz")
    arguments = parser.parse_args()
    draw = random.Random(0)
    n_whole = n_left = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.kills):
            found = kill(os.path.join(folder, f"m.{arguments.suffix}"), draw.uniform(0, 0.02))
            n_whole += found[0]
            n_left += found[1]
    print(f"{arguments.kills} kills: {n_whole} files whole, {n_left} orphans until the next save")


if __name__ == "__main__":
    main()
