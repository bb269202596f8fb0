"""Table 1 of the OS2D paper: which parts of the training matter, on GroZi-3.2k.

Twelve trainings of a ResNet-50: contrastive loss or ranked list loss (RLL), targets remapped or not, hard patches
mined or not, the simplified affine transformation of V1 or the inverted full one of V2, which starts from the identity
or from weakalign.

    oneshot run experiments/launcher_exp1.py --launcher slurm
    python ./experiments/launcher_exp1.py --slurm --job-indices 3 8
"""

from experiments.paper_os2d import FROM_WEAKALIGN, GROZI_TRAINING, RESNET50_IMAGENET_CAFFE2, TRAINING, V1, V2
from orchestration.describe import Experiment, Variant
from orchestration.script import main

CL = {
    "train.objective.class_objective": "ContrastiveLoss",
    "train.objective.pos_margin": 1.0,
    "train.objective.neg_margin": 0.5,
}
RLL = {
    "train.objective.class_objective": "RLL",
    "train.objective.pos_margin": 0.6,
    "train.objective.neg_margin": 0.5,
}
REMAP = {"train.objective.remap_classification_targets": True}
NO_REMAP = {"train.objective.remap_classification_targets": False}
MINE = {"train.mining.do_mining": True}
FULL_AFFINE = {"model.use_inverse_geom_model": False, "model.use_simplified_affine_model": False}
INVERSE_FULL_AFFINE = {"model.use_inverse_geom_model": True, "model.use_simplified_affine_model": False}
LOC_LOSS = {"train.objective.loc_weight": 0.2}
V2_FROM_WEAKALIGN = V2 | FROM_WEAKALIGN

JOBS = [
    Variant("exp1.0.lossCL", V1 | CL | NO_REMAP),
    Variant("exp1.1.lossRLL", V1 | RLL | NO_REMAP),
    Variant("exp1.2.lossRLL_remap", V1 | RLL | REMAP),
    Variant("exp1.3.lossRLL_remap_mine", V1 | RLL | REMAP | MINE),
    Variant("exp1.4.lossRLL_remap_invFullAffine", V1 | INVERSE_FULL_AFFINE | RLL | REMAP),
    Variant("exp1.5.lossRLL_remap_mine_fullAffine", V1 | FULL_AFFINE | RLL | REMAP | MINE),
    Variant("exp1.6.lossRLL_remap_invFullAffine_initTranform", V2_FROM_WEAKALIGN | LOC_LOSS | RLL | REMAP),
    Variant("exp1.7.lossRLL_remap_invFullAffine_initTranform_zeroLocLoss", V2_FROM_WEAKALIGN | RLL | REMAP),
    Variant("exp1.8.lossRLL_remap_invFullAffine_initTranform_zeroLocLoss_mine", V2_FROM_WEAKALIGN | RLL | REMAP | MINE),
    Variant("exp1.9.lossCL_invFullAffine_initTranform_zeroLocLoss", V2_FROM_WEAKALIGN | CL | NO_REMAP),
    Variant("exp1.10.lossCL_remap_invFullAffine_initTranform_zeroLocLoss", V2_FROM_WEAKALIGN | CL | REMAP),
    Variant("exp1.11.lossRLL_invFullAffine_initTranform_zeroLocLoss", V2_FROM_WEAKALIGN | RLL | NO_REMAP),
]


def ablation(seeds: int = 1) -> Experiment:
    """Return the trainings."""
    return Experiment(
        name="exp1",
        task="os2d.tasks:train",
        config=TRAINING | RESNET50_IMAGENET_CAFFE2,
        variants=JOBS,
        seeds=range(seeds),
        resources=GROZI_TRAINING,
        tags={"system": "os2d", "arch": "ResNet50", "init": "imageNetCaffe2", "data": "grozi-val-new-cl"},
        trial_name="{variant}_seed{seed}",
    )


def describe(seeds: int = 1) -> list[Experiment]:
    """Describe the published trainings with one seed or several."""
    return [ablation(seeds)]


if __name__ == "__main__":
    main(__file__)
