"""Runs the cases of tests/conformance with the Python SDK's public interface."""
