"""Child registries of MMEngine's, scope ``mmvan``.

MMEngine imports this module by itself when a config names a type with the scope, as in
``type='mmvan.VAN'``; the locations below are imported when a type is first looked up.
"""

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import Registry

# So that a config may begin with `_base_ = "mmvan::detection/van_b_maskrcnn.py"`.
MODULE2PACKAGE.setdefault("mmvan", "mmvan")

MODELS = Registry("model", scope="mmvan", parent=MMENGINE_MODELS, locations=["mmvan.models"])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optimizer wrapper constructor",
    scope="mmvan",
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    locations=["mmvan.engine.layer_decay"],
)
FUNCTIONS = Registry(
    "function", scope="mmvan", parent=MMENGINE_FUNCTIONS, locations=["mmvan.engine.sharding"]
)
STRATEGIES = Registry(
    "strategy", scope="mmvan", parent=MMENGINE_STRATEGIES, locations=["mmvan.engine.sharding"]
)
DATASETS = Registry(
    "dataset", scope="mmvan", parent=MMENGINE_DATASETS, locations=["mmvan.data.tolerant"]
)
TRANSFORMS = Registry(
    "transform",
    scope="mmvan",
    parent=MMENGINE_TRANSFORMS,
    locations=["mmvan.data.loading", "mmvan.data.cropping", "mmvan.data.transforms"],
)
WEIGHT_INITIALIZERS = Registry(
    "weight initializer",
    scope="mmvan",
    parent=MMENGINE_WEIGHT_INITIALIZERS,
    locations=["mmvan.checkpoint.pretrained"],
)
HOOKS = Registry(
    "hook",
    scope="mmvan",
    parent=MMENGINE_HOOKS,
    locations=[
        "mmvan.engine.adapt_checkpoint",
        "mmvan.engine.bad_data",
        "mmvan.engine.batch_norm",
        "mmvan.engine.checkpoint_hook",
        "mmvan.engine.compilation",
        "mmvan.engine.nan_guard",
        "mmvan.engine.rehearsal",
        "mmvan.engine.schedule_hook",
        "mmvan.engine.signal_hook",
        "mmvan.tune.hook",
    ],
)
LOOPS = Registry("loop", scope="mmvan", parent=MMENGINE_LOOPS, locations=["mmvan.engine.loops"])
METRICS = Registry("metric", scope="mmvan", parent=MMENGINE_METRICS, locations=["mmvan.evaluation"])
VISUALIZERS = Registry(
    "visualizer",
    scope="mmvan",
    parent=MMENGINE_VISUALIZERS,
    locations=["mmvan.visualization.panoptic"],
)
