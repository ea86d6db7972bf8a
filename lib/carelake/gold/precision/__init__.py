"""What is known about one person in particular: clinical scores."""
