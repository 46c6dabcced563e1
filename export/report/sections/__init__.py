"""The sections of the page: each function turns a study into a section, or into None."""
