"""Training, evaluation and tracking; the only import of mlflow."""
