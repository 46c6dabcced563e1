"""What the machine sets: its memory, its caches, who may be told what."""
