"""`python -m fastbp` is the command `fastbp`."""

from fastbp.command import main

if __name__ == "__main__":
    raise SystemExit(main())
