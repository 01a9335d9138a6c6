"""Translation: sentences to sentences, questions to SQL, text to code."""
