"""What app makers get beside the files."""
