"""Checks of what users pass: every one runs before anything is changed."""
