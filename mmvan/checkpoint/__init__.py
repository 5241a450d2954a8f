"""Reading and writing checkpoints: what may be loaded, from where, and in which layout.

Importing it, as the backbone does, makes MMEngine read checkpoints safely and wherever they are.
"""

from mmvan.checkpoint.safe_globals import allow_mmengine_checkpoints
from mmvan.checkpoint.schemes import register_schemes

allow_mmengine_checkpoints()
register_schemes()
