"""The machine: memory limits, caches, files, and privacy settings of libraries."""
