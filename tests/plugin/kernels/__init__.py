"""Kernels as a user's package has them; these are PyTorch's operators."""
