"""The dense layer before the references: projections of embeddings."""
