"""Two OMOP folders compared by natural key, every difference explained by a named rule or counted as unexplained."""
