"""Who is the same person, which records are the same visit, what each event means."""
