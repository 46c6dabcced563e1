"""Photos: from a folder, table, archive or address to pixels."""
