"""One file per format: record shape, reader, mappings into the contracts."""
