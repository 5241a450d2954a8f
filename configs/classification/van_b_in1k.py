# tools/dist_train.sh configs/classification/van_b_in1k.py 8
# VAN-B2 on ImageNet-1k, 300 epochs, 8 GPUs x 128 images.
# Expected: top-1 82.8 (arXiv 2202.09741).
# The paper says that EMA was on, the authors' script has it off, as here; `--ema` switches it on.
_base_ = [
    "../_base_/models/van_classifier.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/schedules/imagenet_300e.py",
]
