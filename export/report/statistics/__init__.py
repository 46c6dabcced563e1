"""What a report measures. Nothing here knows how it is shown."""
