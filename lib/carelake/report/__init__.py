"""Static pages made from gold and ops."""
