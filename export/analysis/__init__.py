"""What is measured of finished files."""
