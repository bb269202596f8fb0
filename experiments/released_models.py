"""The three released OS2D models on grozi-val-new-cl, beside what their README says of them.

Nothing is trained: ``oneshot models fetch`` gets the weights, ``oneshot data fetch`` the data.

    oneshot run experiments/released_models.py
"""

from experiments.paper_os2d import EVALUATION, ONE_EVALUATION, RESNET50, RESNET101, V1, V2
from experiments.published import RELEASED_MODELS
from orchestration.describe import Column, Experiment, Row, Table, Variant
from orchestration.script import main

MODELS = {
    "V2-train": V2 | RESNET50 | {"init.model": "models/os2d_v2-train.pth"},
    "V1-train": V1 | RESNET101 | {"init.model": "models/os2d_v1-train.pth"},
    "V2-init": V2 | RESNET50 | {"init.model": "models/os2d_v2-init.pth"},
}
PYRAMIDS = {
    "pyramid": {"eval.scales_of_image_pyramid": [0.5, 0.625, 0.8, 1.0, 1.2, 1.4, 1.6]},
    "single": {"eval.scales_of_image_pyramid": [1.0]},
}

released = Experiment(
    name="released_models",
    task="os2d.tasks:evaluate",
    config=EVALUATION | {"eval.dataset_names": ["grozi-val-new-cl"], "eval.dataset_scales": [1280.0]},
    variants=[
        Variant(
            f"{model}.{scales}",
            network | pyramid,
            tags={"model": model, "arch": network["model.backbone_arch"], "scales": scales},
        )
        for model, network in MODELS.items()
        for scales, pyramid in PYRAMIDS.items()
    ],
    resources=ONE_EVALUATION,
    tags={"system": "os2d", "data": "grozi-val-new-cl"},
    trial_name="{variant}",
)

METRIC = "mAP@0.50_grozi-val-new-cl"

table = Table(
    name="released-models",
    title="Released OS2D models",
    unit="mAP@0.50, percent",
    experiment=released,
    rows=[
        Row("V2-train (ResNet-50)", tags={"model": "V2-train"}),
        Row("V1-train (ResNet-101)", tags={"model": "V1-train"}),
        Row("V2-init (ResNet-50)", tags={"model": "V2-init"}),
    ],
    columns=[
        Column("grozi-val-new-cl, 7-scale pyramid", METRIC, scale=100, digits=2, tags={"scales": "pyramid"}),
        Column("grozi-val-new-cl, single scale", METRIC, scale=100, digits=2, tags={"scales": "single"}),
    ],
    published=RELEASED_MODELS,
)

if __name__ == "__main__":
    main(__file__)
