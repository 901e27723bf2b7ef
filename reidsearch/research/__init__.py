"""How good detection and search are, against ground truth."""
