"""Comorbidity indices: which diseases a person has, by the published lists of ICD codes, and what they weigh."""
