"""Where models come from: package indexes, Hugging Face repositories, and local folders or files."""
