"""What the launchers of the paper's baselines share: image sizes, networks, data to retrieve from, resources.

Numbers are those of the published launchers. Pictures for retrieval and the untrained retrieval network are no jobs of
theirs; they are run because a job needs them.
"""

from collections.abc import Mapping
from dataclasses import replace

from orchestration.describe import Experiment, Need, Resources, Variant

ONE_GPU = Resources(cpus=4, gpus=1, memory_gb=32)
ONE_CORE = Resources(cpus=1, memory_gb=16)

# CoAE: shorter sides of an image; 900 pixels are right where the median object has 240 of 1280.
COAE = {"model.query_size": 192}
COAE_SIZES = {
    "grozi": {"train.scales": [450, 562, 720, 900, 1080, 1260, 1440], "eval.scales": [900]},
    "instre-s1": {"train.scales": [246, 307, 393, 492, 590, 688, 787], "eval.scales": [492]},
    "instre-s2": {"train.scales": [210, 263, 336, 421, 505, 589, 673], "eval.scales": [421]},
    "retail": {"train.scales": [1230, 1537, 1968, 2460, 2952, 3444, 3936], "eval.scales": [2460]},
}
COAE_LEARNING = {
    "train.batch_size": 4,
    "train.optim.lr": 0.01,
    "train.optim.gamma": 0.1,
    "train.optim.reload_best_model": True,
}
COAE_SEED = 3

# The detector: shorter sides of an image.
DETECTOR_SIZES = {
    "grozi": (480, 600, 768, 960, 1152, 1344, 1536),
    "instre-s1": (210, 262, 336, 420, 504, 588, 672),
    "instre-s2": (180, 225, 288, 360, 432, 504, 576),
    "imagenet": (225, 280, 360, 450, 540, 630, 720),
}
R50 = {"MODEL.BACKBONE.CONV_BODY": "R-50-FPN"}
R101 = {"MODEL.BACKBONE.CONV_BODY": "R-101-FPN"}
FROM_PYTORCH = {
    "INPUT.TO_BGR255": False,
    "INPUT.PIXEL_MEAN": [0.485, 0.456, 0.406],
    "INPUT.PIXEL_STD": [0.229, 0.224, 0.225],
}
LONGER_SIDES = {"INPUT.MAX_SIZE_TRAIN": 2048, "INPUT.MAX_SIZE_TEST": 1280}
DETECTOR_SEED = 42

# The retrieval network.
RETRIEVAL = {
    "data.image_size": 240,
    "network.pooling": "gem",
    "train.loss": "contrastive",
    "train.margin": 0.85,
    "train.optim_method": "adam",
    "train.lr": 1e-6,
    "train.weight_decay": 1e-4,
    "train.negatives": 5,
    "train.queries": 2000,
    "train.pool": 20000,
    "train.batch_size": 5,
}
CAFFE2_RESNET50 = {
    "network.arch": "resnet50",
    "init.network": "models/imagenet-caffe-resnet50-features-ac468af.pth",
}
CAFFE2_RESNET101 = {
    "network.arch": "resnet101",
    "init.network": "models/imagenet-caffe-resnet101-features-10a101d.pth",
}
RANDOM_WHITENING = {"network.whitening": True}
LANDMARKS_WHITENING = {
    "network.whitening": True,
    "init.whitening": "models/retrieval-SfM-120k-resnet101-gem-whiten-22ab0c1.pth",
}
"""The published program starts from it wherever a ResNet-101 has a whitening layer; for a ResNet-50 there is none."""

LEARNED = "contrastive_m0.85_adam_lr1.0e-06_wd1.0e-04_nnum5_qsize2000_psize20000_bsize5_imsize240"
"""How the published names of networks end that were trained so."""

GROZI_PICTURES = {
    "data.train": "grozi-train-retrieval-rndCropPerImage10",
    "data.tests": ["grozi-val-new-cl-retrieval-rndCropPerImage10"],
}

# Image pyramids and descriptors of the evaluation of detector + retrieval.
JOINT = {
    "joint.retrieval_image_size": 240,
    "joint.retrieval_multiscale": True,
    "eval.mAP_iou_thresholds": [0.5],
}
JOINT_SEED = 42


def joint_detector(*settings: Mapping[str, object]) -> dict[str, object]:
    """Return the detector of a joint evaluation as its task takes it: keys and values in one list of words."""
    words = [str(word) for setting in settings for item in setting.items() for word in item]
    return {"joint.detector_options": words}


grozi_pictures = Experiment(
    name="retrieval_grozi-pictures",
    task="baselines.detector_retrieval.tasks:retrieval_prepare",
    config={
        "prepare.train": "grozi-train",
        "prepare.train_scale": 1280.0,
        "prepare.val": "grozi-val-new-cl",
        "prepare.val_scale": 1280.0,
        "prepare.tests": ["grozi-val-old-cl", "grozi-val-new-cl"],
        "prepare.test_scales": [1280.0],
        "prepare.random_crops": 10,
    },
    variants=[Variant("grozi")],
    seeds=[42],
    resources=ONE_CORE,
)

instre_pictures = Experiment(
    name="retrieval_instre-pictures",
    task="baselines.detector_retrieval.tasks:retrieval_prepare",
    config={"prepare.random_crops": 10},
    variants=[
        Variant(
            "instre-s1",
            {
                "prepare.train": "instre-s1-train",
                "prepare.train_scale": 700.0,
                "prepare.val": "instre-s1-val",
                "prepare.val_scale": 700.0,
                "prepare.tests": ["instre-s1-val", "instre-s1-test"],
                "prepare.test_scales": [700.0],
            },
        ),
        Variant(
            "instre-s2",
            {
                "prepare.train": "instre-s2-train",
                "prepare.train_scale": 600.0,
                "prepare.val": "instre-s2-val",
                "prepare.val_scale": 600.0,
                "prepare.tests": ["instre-s2-val", "instre-s2-test"],
                "prepare.test_scales": [600.0],
            },
        ),
    ],
    seeds=[42],
    resources=ONE_CORE,
)

imagenet_pictures = Experiment(
    name="retrieval_imagenet-pictures",
    task="baselines.detector_retrieval.tasks:retrieval_prepare",
    config={
        "prepare.train": "imagenet-repmet-train",
        "prepare.train_scale": 600.0,
        "prepare.val": "imagenet-repmet-val-5000",
        "prepare.val_scale": 600.0,
        "prepare.tests": ["imagenet-repmet-val-5000"],
        "prepare.test_scales": [600.0],
        "prepare.random_crops": 0,
        "prepare.pairs_per_object": 10,
    },
    variants=[Variant("imagenet-repmet")],
    seeds=[42],
    resources=ONE_CORE,
)

untrained_retrieval = Experiment(
    name="retrieval_grozi-init",
    task="baselines.detector_retrieval.tasks:retrieval_train",
    config=RETRIEVAL | GROZI_PICTURES | CAFFE2_RESNET101 | {"train.epochs": 0},
    variants=[Variant("resnet101_gem")],
    needs={"data": Need(grozi_pictures)},
    resources=ONE_GPU,
)
"""The network before the first epoch of the fourth job of ``retrieval_grozi``, without training it."""


def with_seeds(experiment: Experiment, count: int) -> Experiment:
    """Return an experiment as published, or with the seeds 0, 1, ... of which each has trainings of its own.

    Pictures for retrieval are cut once, and there is nothing random in the untrained network.
    """
    if count == 1 or experiment in (grozi_pictures, instre_pictures, imagenet_pictures, untrained_retrieval):
        return experiment
    variants = [replace(variant, needs=_seeded(variant.needs, count)) for variant in experiment.variants]
    return replace(
        experiment,
        variants=variants,
        needs=_seeded(experiment.needs, count),
        seeds=range(count),
        trial_name="{variant}_seed{seed}",
    )


def _seeded(needs: Mapping[str, Need], count: int) -> dict[str, Need]:
    return {
        name: replace(need, experiment=with_seeds(need.experiment, count))
        for name, need in needs.items()
        if isinstance(need.experiment, Experiment)
    }
