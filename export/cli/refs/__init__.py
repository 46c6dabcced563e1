"""refs: work with files of references."""
