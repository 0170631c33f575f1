"""Models that look at images: readers of foreign weights, exporters, and the check of folders."""
