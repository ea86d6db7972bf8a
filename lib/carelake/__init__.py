"""carelake: from raw health records to trusted risk scores on Spark, Delta Lake and MLflow."""

__version__ = "0.1.0"
LAKE_FORMAT = 1  # raised when an older carelake can no longer read or write the lake
