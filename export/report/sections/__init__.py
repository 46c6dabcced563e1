"""The sections of the page: each function turns a study into one, or None if it has nothing."""
