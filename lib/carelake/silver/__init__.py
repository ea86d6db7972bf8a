"""From source records to OMOP CDM v5.4."""
