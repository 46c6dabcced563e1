"""The dense layer before the references: what of an embedding is compared."""
