"""OMOP vocabularies: an Athena download or the bundled open subset."""
