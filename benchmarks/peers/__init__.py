"""Servers around other engines. They run in .venv-peers, which benchmarks/peers/install.sh makes."""
