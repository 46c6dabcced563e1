"""verify, eval, bench and inspect."""
