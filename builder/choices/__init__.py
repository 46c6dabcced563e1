"""What a `Spec` chooses among by name: a file each, and one line in a table each."""
