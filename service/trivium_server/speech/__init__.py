"""Speech and sound as numbers, in pure functions: files and samples in, samples, files and text out."""
