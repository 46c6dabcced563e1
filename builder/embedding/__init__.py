"""Photos become embeddings, each once."""
