"""What every room shares: types, errors, ids, texts, files, the exact nearest-neighbour search."""
