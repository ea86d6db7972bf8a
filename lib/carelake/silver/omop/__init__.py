"""OMOP CDM v5.4, one file per table."""
