"""Models that hear and speak: exporters of published ones, and the check of folders."""
