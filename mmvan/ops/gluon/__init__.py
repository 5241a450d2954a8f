"""Large kernel attention's pair in one pass, in Triton's Gluon, for NVIDIA GPUs."""
