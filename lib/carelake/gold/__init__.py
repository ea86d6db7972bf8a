"""What people ask for: cohorts, measures, features."""
