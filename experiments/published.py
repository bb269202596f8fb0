"""Numbers that others published, each with the source it was read in; where nothing was read, nothing is written.

The result tables of the OS2D paper could not be read. What stands here of them is what OS2D's README says of the same
models, more precisely. ``oneshot table FILE --reference VALUES`` adds what a reader with the paper at hand types in.
"""

from orchestration.describe import Published

OS2D_PAPER = "arXiv 2003.06800"
OS2D_README = "README of OS2D"
ONENET_README = "README of OneNet"

UNPUBLISHED = Published(None)

Values = dict[tuple[str, str], Published]
"""(row, column) -> what was published."""

RELEASED_MODELS: Values = {
    ("V2-train (ResNet-50)", "grozi-val-new-cl, 7-scale pyramid"): Published(90.65, OS2D_README),
    ("V1-train (ResNet-101)", "grozi-val-new-cl, 7-scale pyramid"): Published(88.71, OS2D_README),
    ("V2-init (ResNet-50)", "grozi-val-new-cl, 7-scale pyramid"): Published(86.07, OS2D_README),
    ("V2-train (ResNet-50)", "grozi-val-new-cl, single scale"): Published(85.58, OS2D_README),
    ("V1-train (ResNet-101)", "grozi-val-new-cl, single scale"): UNPUBLISHED,
    ("V2-init (ResNet-50)", "grozi-val-new-cl, single scale"): UNPUBLISHED,
}

OS2D_TABLE_1: Values = {
    ("exp1#8", "grozi-val-new-cl"): Published(90.6, OS2D_README, "90.65 there, for the same recipe", "cross-checked"),
}

OS2D_TABLE_2: Values = {
    ("ResNet50 imageNetCaffe2", "V2-init"): Published(86.1, OS2D_README, "86.07 there, for V2-init", "cross-checked"),
    ("ResNet101 buildingsCirtorch", "V1-train"): Published(
        88.7, OS2D_README, "88.71 there, for V1-train", "cross-checked"
    ),
}

OS2D_TABLE_3: Values = {
    ("OS2D V1-train", "grozi-val-new-cl"): Published(88.7, OS2D_README, "88.71 there", "cross-checked"),
    ("OS2D V2-init", "grozi-val-new-cl"): Published(86.1, OS2D_README, "86.07 there", "cross-checked"),
    ("OS2D V2-train", "grozi-val-new-cl"): Published(90.6, OS2D_README, "90.65 there", "cross-checked"),
}

OLDER_README = "in December 2020 it had 29.5 with, 27.5 without deformable convolutions"

ONENET_COCO: Values = {
    ("R18_dcn", "AP"): Published(29.9, ONENET_README, OLDER_README),
    ("R18_nodcn", "AP"): Published(27.7, ONENET_README, OLDER_README),
    ("R50_dcn", "AP"): Published(35.7, ONENET_README),
    ("R50_nodcn", "AP"): Published(32.7, ONENET_README),
    ("R50_RetinaNet", "AP"): Published(37.5, ONENET_README),
    ("R50_FCOS", "AP"): Published(38.9, ONENET_README),
    ("R18_dcn", "FPS here"): Published(109, ONENET_README),
    ("R18_nodcn", "FPS here"): Published(138, ONENET_README),
    ("R50_dcn", "FPS here"): Published(67, ONENET_README),
    ("R50_nodcn", "FPS here"): Published(73, ONENET_README),
    ("R50_RetinaNet", "FPS here"): Published(26, ONENET_README),
    ("R50_FCOS", "FPS here"): Published(27, ONENET_README),
}
"""AP has a noise of about 0.3, and FPS are of a V100, according to the authors."""

ONENET_CROWDHUMAN: Values = {
    ("R50_RetinaNet", "AP50"): Published(90.9, ONENET_README),
    ("R50_RetinaNet", "mMR"): Published(48.8, ONENET_README),
    ("R50_RetinaNet", "recall"): Published(98.0, ONENET_README),
    ("R50_RetinaNet", "FPS here"): Published(26, ONENET_README),
    ("R50_FCOS", "AP50"): Published(90.6, ONENET_README),
    ("R50_FCOS", "mMR"): Published(48.6, ONENET_README),
    ("R50_FCOS", "recall"): Published(97.7, ONENET_README),
    ("R50_FCOS", "FPS here"): Published(27, ONENET_README),
}
