"""One file per risk model: label, features, estimator, gates, intended use."""
