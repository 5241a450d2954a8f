"""Settings for the whole suite."""

import torch

# The suite runs in parallel; more threads than cores make tiny operators wait for each other.
torch.set_num_threads(1)
