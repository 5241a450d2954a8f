"""Reading and writing checkpoints: what may be loaded, and in which layout.

Importing it, as the backbone does, lets PyTorch's safe loader read MMEngine's own checkpoints.
"""

from mmvan.checkpoint.safe_globals import allow_mmengine_checkpoints

allow_mmengine_checkpoints()
