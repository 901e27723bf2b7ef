"""Defaults that the command line shows and the library uses."""

DB = "db"
ASSUMED_FPS = 25.0
MIN_HEIGHT_PX = 24
TOP = 10
SETTLED_S = 2.0
