"""Data that ship with fastbp, read from the installed package: nothing is downloaded."""

from fastbp.dataset.digits import load_digits

__all__ = ["load_digits"]
