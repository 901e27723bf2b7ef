"""`python -m reidsearch`."""

from reidsearch.cli.app import app

app()
