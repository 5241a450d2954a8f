# tools/dist_train.sh configs/classification/van_b_in1k.py 8
# VAN-B2 on ImageNet-1k, 300 epochs, 8 GPUs x 128 images.
# Expected: top-1 82.8 (arXiv 2202.09741).
# The paper says that the weights were averaged, the authors' script does not do it, nor does this
# config: `--ema 0.9998` (timm's default decay) does.
_base_ = [
    "../_base_/models/van_classifier.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/schedules/imagenet_300e.py",
]
