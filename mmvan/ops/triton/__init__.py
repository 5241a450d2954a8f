"""The operators as Triton kernels for CUDA GPUs."""
