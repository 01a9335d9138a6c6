"""Text in, labels out: embedded words, a recurrent encoder, pooling, and a decision."""
