"""What the page says: each module makes one section of a study, or None where it has nothing."""
