"""The measurements of a report, independent of how they are shown."""
