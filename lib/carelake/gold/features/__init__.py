"""What was known about a person before an index date."""
