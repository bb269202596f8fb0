"""The paper in miniature: every table of it, from generated data, on a CPU, in minutes.

The experiments are those of the launchers, with smaller networks, photos and trainings (``mini_settings.py``), on data
and weights that are written once, below ``--data``, in the layouts of GroZi, Dairy, Paste, INSTRE, RepMet's ImageNet
and COCO. Whatever a table of the paper needs is trained, evaluated and read back in the same way here; its numbers
compare with nothing published.

    oneshot run experiments/paper_mini.py --launcher local      # or ray, or slurm
    oneshot run experiments/paper_mini.py --tables imagenet     # one table, or several: 1,3,onenet
"""

from pathlib import Path

from experiments.imagenet_episodes import episodes_table
from experiments.mini_settings import ONE_CORE, changes
from experiments.onenet_coco import coco_table
from experiments.table1_ablation import ablation_table
from experiments.table2_initialisations import initialisations_table
from experiments.table3_retail import retail_table
from experiments.table4_instre import instre_table
from orchestration.derive import Derivation
from orchestration.describe import Table
from orchestration.errors import DescriptionError
from orchestration.script import main
from os2d.data.catalog import resolved_root
from os2d.miniature.store import ensure_miniature

PAPER = {
    "1": ablation_table(),
    "2": initialisations_table(),
    "3": retail_table(),
    "4": instre_table(),
    "imagenet": episodes_table(),
    "onenet": coco_table,
}

CAPTION = (
    "Generated photos, small networks, trainings of some dozen steps: the structure of the table, not its numbers."
)
CAPTIONS = {"imagenet": f"{CAPTION} One episode stands for the 50 of each job."}


def describe(data: Path | None = None, tables: str = ",".join(PAPER)) -> list[Table]:
    """Describe the tables, and write the data they need below ``data`` if they are not there."""
    chosen = [name.strip() for name in tables.split(",")]
    unknown = [name for name in chosen if name not in PAPER]
    if unknown:
        raise DescriptionError(f"--tables: there is no table {unknown[0]!r}; there are: {', '.join(PAPER)}")
    folder = ensure_miniature(resolved_root(str(data) if data else None))
    derivation = Derivation(lambda name: f"mini-{name}", changes(folder), ONE_CORE)
    return [
        derivation.table(PAPER[name], f"In miniature: {PAPER[name].title}", CAPTIONS.get(name, CAPTION))
        for name in chosen
    ]


if __name__ == "__main__":
    main(__file__)
