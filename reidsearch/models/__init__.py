"""Networks: their cards, their weights, detectors and embedders."""
