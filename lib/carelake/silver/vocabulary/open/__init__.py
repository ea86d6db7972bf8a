"""The bundled open vocabulary subset in Athena's layout, written by build_open; a package so that it is installed.

SNOMED CT codes and names © SNOMED International, LOINC codes and names © Regenstrief Institute and the LOINC Committee,
UCUM © Regenstrief Institute, RxNorm by the U.S. National Library of Medicine: see NOTICE. Where each concept was
published stands in CONCEPT_PROVENANCE.csv.gz.
"""
