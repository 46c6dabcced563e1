"""Measurements on finished files."""
