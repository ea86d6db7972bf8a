"""Spark and Delta, without any knowledge of health care."""
