"""Measure accuracy with held-out references as queries."""
