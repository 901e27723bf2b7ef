"""The version, below all that tell it."""

__version__ = "0.1.0"
