"""Training re-identification networks."""
