"""Python code in a process of its own, with a limit of time and its own environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent


def run(
    code: str,
    *,
    timeout: float = 60,
    cwd: Path = TESTS,
    path: Path | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """The finished process; `path` goes before every other place that Python imports from.

    FASTBP_ISA stays: tests compare the child's bits with their own.
    """
    own = {k: v for k, v in os.environ.items() if k != "FASTBP_BACKEND"}
    places = [str(path)] if path else []
    own["PYTHONPATH"] = os.pathsep.join([*places, str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**own, **environment},
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )


def result(code: str, **options: Any) -> Any:
    """What the code printed last, read as JSON; an error of the child is an AssertionError."""
    done = run(code, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
