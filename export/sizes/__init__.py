"""The size of files, and what formats can hold."""
