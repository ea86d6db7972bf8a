"""The contracts: one shape for each kind of record, whoever sent it. After this no code names a source."""
