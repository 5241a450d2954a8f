"""The operators as one C file for CPUs, which the machine's own compiler builds on first use."""
