"""A shim for tools that still ask for it; pyproject.toml is the truth."""

from setuptools import setup

setup()
