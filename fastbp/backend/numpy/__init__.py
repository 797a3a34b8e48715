"""The NumPy backend: twin of the compiled one, and slower."""
