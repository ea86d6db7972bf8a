"""Who is asked about, when, and what happened to them: one file per cohort."""
