# Swin's multi-scale training, which it has from DETR: the shorter side is 480 to 800 pixels, and
# half of the images are cropped before. It takes the place of `Resize` in a pipeline.
choose_short_side = dict(
    type="RandomChoiceResize",
    scales=[(short, 1333) for short in range(480, 801, 32)],
    keep_ratio=True,
)
multi_scale = dict(
    type="RandomChoice",
    transforms=[
        [choose_short_side],
        [
            dict(
                type="RandomChoiceResize",
                scales=[(400, 1333), (500, 1333), (600, 1333)],
                keep_ratio=True,
            ),
            dict(
                type="RandomCrop",
                crop_type="absolute_range",
                crop_size=(384, 600),
                allow_negative_crop=True,
            ),
            choose_short_side,
        ],
    ],
)
