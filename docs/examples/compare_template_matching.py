"""Template matching beside OS2D on the generated shelf data: two experiments, and a table with rows of both.

    oneshot run docs/examples/compare_template_matching.py --launcher local

The trials of OS2D are those of the quickstart: where it has been run, nothing is trained again.
"""

from dataclasses import replace

from experiments.quickstart import quickstart
from orchestration.describe import Column, Experiment, Resources, Row, Table, Variant

SEEN, UNSEEN = "shelf-val-old-cl", "shelf-val-new-cl"

matching = Experiment(
    name="template-matching",
    task="template_matching:task",
    config={"eval.dataset_names": [SEEN, UNSEEN]},
    variants=[Variant("one size", {"model.template_sizes": [32.0]}), Variant("three sizes")],
    resources=Resources(cpus=1, memory_gb=2),
)

os2d = replace(quickstart, name="template-matching-os2d", variants=quickstart.variants[:2])

table = Table(
    name="template-matching",
    title="Template matching and OS2D on generated shelves: mAP@0.50, percent",
    experiment=[matching, os2d],
    rows=[
        Row("template matching, one size", variant="one size"),
        Row("template matching, three sizes", variant="three sizes"),
        Row("OS2D, untrained", variant="untrained"),
        Row("OS2D, contrastive loss", variant="contrastive"),
    ],
    columns=[
        Column("seen classes", f"mAP@0.50_{SEEN}", scale=100),
        Column("unseen classes", f"mAP@0.50_{UNSEEN}", scale=100),
        Column("seconds", f"eval_time_{UNSEEN}", lower_is_better=True),
    ],
)
