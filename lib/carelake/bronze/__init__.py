"""Landing: how anything lands."""
