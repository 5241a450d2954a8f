"""The parts of `tools/setup_env.py`, which run before anything is installed."""
