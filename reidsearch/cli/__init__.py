"""The command line: options in, tables and JSON out, and nothing else."""
