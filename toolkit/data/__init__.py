"""Files, tokens, vectors and batches."""
