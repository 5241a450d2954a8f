# tools/dist_train.sh configs/classification/van_h_in22k_in1k_384.py 8
# VAN-B4, pre-trained on ImageNet-22k, fine-tuned on ImageNet-1k at 384 x 384: 30 epochs, 8 GPUs x
# 64 images. Expected: top-1 86.6 (arXiv 2202.09741). As in Swin's configs of this step, the test
# resizes the whole image to the square, and the rate follows the batch.
_base_ = "./van_h_in22k_in1k.py"

random_crops = [
    [dict(type="mmvan.RandomResizedCrop", scale=384, backend="pillow", interpolation=interpolation)]
    for interpolation in ("bilinear", "bicubic")
]
# After the crop, the augmentation is that at 224.
train_pipeline = [
    _base_.read,
    dict(type="RandomChoice", transforms=random_crops),
    *_base_.train_pipeline[2:],
]
resize = dict(type="Resize", scale=(384, 384), backend="pillow", interpolation="bicubic")
test_pipeline = [_base_.read, resize, dict(type="PackInputs")]
tta_pipeline = [
    _base_.read,
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)],
            [resize],
            [dict(type="PackInputs")],
        ],
    ),
]
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=2e-5))
auto_scale_lr = dict(base_batch_size=512)
