"""Kill processes that save a model, at random moments, and look at what they leave.

    python -P -m bench.storage.kill --kills 500

Every kill must leave the old or the new file, whole, and the next save nothing beside it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time

import fastbp as fb


def save_for_ever(path: str, ready: int) -> None:
    """A number in the parameters and in the metadata, one more in each file."""
    net, n = fb.Network([200, 400, 10], seed=0), 0
    while True:
        net.parameters["dense_1/bias"][:] = n
        net.save(path, metadata={"n": n})
        if n == 0:
            os.write(ready, b".")
        n += 1


def kill(path: str, seconds: float) -> tuple[bool, int]:
    """Whether the file is whole, and how many files were left beside it until the next save."""
    begun, ready = os.pipe()
    child = os.fork()
    if child == 0:
        save_for_ever(path, ready)
    os.read(begun, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(begun)
    os.close(ready)
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
