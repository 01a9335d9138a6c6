"""Text in, labels out: embedded words, an encoder, pooling, and a decision."""
