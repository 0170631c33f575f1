"""Search in a real text corpus: passages in an embedded vector database, answers ranked anew. See README.md."""
