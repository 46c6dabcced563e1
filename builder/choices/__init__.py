"""The named choices of a `Spec`: one file and one line in a table for each."""
