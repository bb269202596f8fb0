"""What becomes of every command in README.md, CONTRIBUTING.md and docs/: who runs it, or what it waits for.

``test_documentation.py`` compares this table with the documents: a new command, and one that is gone, fail there.
Placeholders of the documents (FILE, TRIAL, ...) are replaced when a command is run.
"""

from __future__ import annotations

PREPARE_RETRIEVAL = (
    "python baselines/detector_retrieval/retrieval/prepare_dataset_retrieval.py --dataset-train shelf-train "
    "--dataset-train-scale 320 --dataset-val shelf-val-new-cl --dataset-val-scale 320 --datasets-test shelf-val-old-cl "
    "--datasets-test-scale 320 --num-random-crops-per-image 10"
)
TRAIN_RETRIEVAL = (
    "python baselines/detector_retrieval/retrieval/train.py output/retrieval --cpu --training-dataset "
    "shelf-train-retrieval-rndCropPerImage10 --test-datasets shelf-val-old-cl-retrieval-rndCropPerImage10 --arch "
    "resnet18 --not-pretrained --image-size 96 --query-size 100 --pool-size 200 --lr 1e-4 --epochs 3"
)
TRAIN_DETECTOR = "python baselines/detector_retrieval/detector/train_detector.py --config-file"
DETECTOR_FILE = "baselines/detector_retrieval/detector/config/e2e_faster_rcnn_R_50_FPN_1x_multiscale_noClasses.yaml"

RUN = {
    "weights": [  # tests/unit/test_documentation.py, in a folder with files as the published ones are
        "oneshot models inspect models/os2d_v2-train.pth",
        "oneshot models inspect models/os2d_v1-train.pth model.backbone_arch ResNet101 "
        "model.use_simplified_affine_model True",
        "oneshot models convert models/imagenet-caffe-resnet50-features-ac468af.pth",
        "oneshot models convert models/R-50-GN.pkl --num_layers 50",
        "oneshot models convert models/maskrcnn-benchmark/e2e_mask_rcnn_R_50_FPN_1x.pth",
        "oneshot models convert models/gl18-tl-resnet101-gem-w-a4d43db.pth",
        "oneshot models convert models/weakalign_resnet101_affine_tps.pth.tar",
        "oneshot models convert output/resnet101/model_best.pth.tar --to cirtorch",
    ],
    "plans": [  # tests/unit/test_documentation.py, in a folder with our experiments and nothing else
        "oneshot init my_experiments.py",
        "oneshot plan my_experiments.py",
        "python my_experiments.py --list",
        "oneshot plan FILE",
        "oneshot status",
        "oneshot plan experiments/table3_retail.py",
        "oneshot plan docs/examples/compare_template_matching.py",
        "oneshot data list",
        "oneshot models fetch --list",
    ],
    "photos": [  # tests/unit/test_documentation.py, in a folder with drawn photos
        "oneshot data check custom:my_photos",
        "oneshot data scales custom:my_photos#train",
    ],
    "trials": [  # tests/integration/test_documented_commands.py, typed into a shell, with trials of a second
        "oneshot run docs/examples/own_task.py --launcher local",
        "oneshot run losses.py --launcher local",
        "oneshot run losses.py",
        "oneshot run FILE",
        "oneshot status FILE",
        "oneshot logs TRIAL",
        "oneshot table FILE",
        "oneshot table FILE --from runs",
        "oneshot report FILE",
        "oneshot sync",
        "oneshot gc",
        "python my_experiments.py --no-launch",
        "python my_experiments.py --job-names RLL --slots 4",
        "python my_experiments.py",
        "oneshot run my_experiments.py",
        "oneshot table my_experiments.py",
        "oneshot table my_experiments.py --reference-template -o values.csv",
        "oneshot table my_experiments.py --reference values.csv",
    ],
    "retrieval": [  # tests/integration/test_documented_commands.py, typed into a shell, with few products
        PREPARE_RETRIEVAL,
    ],
}
"""Folder that a test prepares -> the commands that it runs there, in this order."""

RUN_BY = {
    "tests/unit/test_serve_document.py::test_its_calls_are_answered": [
        "curl -F image=@shelf.jpg -F class_image=@tea.jpg -F class_image=@soap.jpg -F threshold=0.5 "
        "localhost:8000/v1/detect",
        "curl -F name=tea -F images=@tea.jpg localhost:8000/v1/classes",
        "curl -F image=@shelf.jpg -F class=tea localhost:8000/v1/detect",
        "curl localhost:8000/v1/classes",
        "curl -X DELETE localhost:8000/v1/classes/tea",
    ],
    "tests/integration/test_serve_load.py::test_whatever_is_made_of_the_description_the_server_answers_as_described": [
        "oneshot serve --model os2d_v2-train"
    ],
    ".ci/run": ["make install", "make test"],
    "tests/unit/test_contributing.py::test_the_example_of_a_model_runs_fills_its_table_and_detects": [
        "oneshot run docs/examples/compare_template_matching.py --only template-matching --launcher local",
        "oneshot table docs/examples/compare_template_matching.py",
    ],
    "tests/unit/test_contributing.py::test_the_example_of_a_launcher_plans_and_launches_as_a_program": [
        "python docs/examples/own_launcher.py docs/examples/own_task.py",
    ],
    "tests/unit/test_doctor.py::test_a_working_machine_passes": ["oneshot doctor", "oneshot doctor --deep"],
    "tests/unit/test_dashboard.py::test_it_serves_the_store_of_the_runs_without_jobs_or_telemetry": [
        "oneshot dashboard"
    ],
    "tests/unit/test_fetch.py::test_a_copied_archive_is_unpacked_where_it_lies": [
        "oneshot data fetch grozi --from grozi.zip"
    ],
    "tests/unit/test_fetch.py::test_weights_land_where_commands_look_for_them": [
        "oneshot models fetch os2d_v2-train",
        "oneshot models fetch os2d_v2-train --from os2d_v2-train.pth",
        "oneshot models fetch weakalign resnet50-caffe2 gl18-resnet101-gem",
    ],
    "tests/unit/test_fetch.py::test_a_data_set_is_fetched_and_unpacked_once": ["oneshot data fetch grozi"],
    "tests/unit/test_data_commands.py::test_only_a_deep_check_finds_a_broken_end": [
        "oneshot data check grozi-val-new-cl --deep"
    ],
    "tests/unit/test_data_commands.py::test_the_published_medians_give_the_published_scales": [
        "oneshot data scales grozi-train"
    ],
    "tests/integration/test_published_commands.py::test_evaluations_run": [
        "python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model True "
        "model.use_simplified_affine_model False model.backbone_arch ResNet50 train.do_training False "
        "eval.dataset_names '[\"grozi-val-new-cl\"]' eval.dataset_scales '[1280.0]' "
        "init.model models/os2d_v2-train.pth",
    ],
    "tests/integration/test_published_commands.py::test_trainings_run_and_leave_what_can_be_evaluated": [
        "python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model True "
        "model.use_simplified_affine_model False train.objective.loc_weight 0.0 train.model.freeze_bn_transform True "
        "model.backbone_arch ResNet50 init.model models/imagenet-caffe-resnet50-features-ac468af-converted.pth "
        "init.transform models/weakalign_resnet101_affine_tps.pth.tar train.mining.do_mining True "
        "output.path output/os2d_v2-train",
        "python main.py --config-file experiments/config_training.yml model.use_inverse_geom_model False "
        "model.use_simplified_affine_model True train.objective.loc_weight 0.2 train.model.freeze_bn_transform False "
        "model.backbone_arch ResNet101 init.model models/gl18-tl-resnet101-gem-w-a4d43db-converted.pth "
        "train.mining.do_mining False output.path output/os2d_v1-train",
    ],
    "tests/integration/test_distributed_training.py::test_two_processes_train_as_one_does": [
        "torchrun --nproc-per-node 4 main.py ..."
    ],
    "tests/integration/test_own_dataset.py::test_the_example_trains_evaluates_and_draws": [
        "python docs/examples/own_dataset.py --folder signs"
    ],
    "tests/integration/test_lifecycle.py::test_a_detached_launch_is_cancelled_and_run_again_without_its_description": [
        "oneshot run file.py --launcher local --detach",
        "oneshot cancel counts/a-seed0 'counts/b-*'",
        "oneshot retry 'counts/*' --launcher local --fresh --yes",
    ],
    "tests/integration/test_slurm_launch.py::test_two_hundred_short_trials_keep_to_their_limit": [
        "oneshot run losses.py --launcher slurm --partition gpu --slots 8",
        "oneshot run experiments/quickstart.py --launcher slurm --partition gpu --slots 8",
        "bash tests/integration/slurm_cluster.sh start /tmp/slurm --nodes 1 --no-accounting",
        "bash tests/integration/slurm_cluster.sh start /tmp/slurm --install",
        ". /tmp/slurm/env.sh",
        "bash tests/integration/slurm_cluster.sh purge /tmp/slurm",
    ],
    "tests/integration/test_script_slurm.py::test_slurm_submits_the_chosen_jobs_and_returns": [
        "python experiments/quickstart.py --slurm -p gpu --num-gpus 1",
        "python my_experiments.py --slurm -p gpu --timeout 24",
    ],
    "tests/integration/test_ray_in_slurm.py::test_a_requeued_job_goes_on_with_the_same_command": [
        "oneshot run losses.py --in-slurm --nodes 4 --gpus 8",
        "oneshot run FILE --in-slurm --nodes 2 --cpus 32 --gpus 4 --hours 12 --partition gpu",
    ],
    "tests/integration/test_ray_cluster.py::test_a_lost_node_costs_its_trials_an_attempt_and_no_result": [
        "oneshot run FILE --launcher ray --address 10.0.0.1:6379"
    ],
    "tests/integration/test_doctor_slurm.py::test_a_cluster_is_described_and_runs_a_job": [
        "oneshot doctor --probe-slurm"
    ],
    "tests/integration/test_compare_shelf.py::test_a_few_steps_of_everything_end_in_the_table": [
        "oneshot run experiments/compare_shelf.py"
    ],
    "tests/integration/test_paper_mini.py::test_all_systems_fill_their_rows": [
        "oneshot run experiments/paper_mini.py",
        "oneshot run experiments/paper_mini.py --launcher local",
        "oneshot run experiments/paper_mini.py --tables imagenet",
    ],
    "tests/unit/test_coae_commands.py::test_the_published_commands_train_evaluate_and_detect": [
        "python -m baselines.coae.trainval_net --net res18 --dataset shelf-train --dataset_val shelf-val-new-cl --bs 4 "
        '--epochs 10 --nw 0 --save_dir output/coae --set TRAIN.SCALES "[320]" TEST.SCALES "[320]"',
        "python -m baselines.coae.test_net --net res18 --weights output/coae/best_model_1.pth --dataset "
        'shelf-val-new-cl --set TEST.SCALES "[320]"',
        "python -m baselines.coae.detect --net res18 --weights output/coae/best_model_1.pth --image photo.jpg --query "
        "tea.jpg soap.jpg --threshold 0.5 --output found.png",
    ],
    "tests/unit/test_detect_command.py::test_the_documented_commands_work": [
        "oneshot detect --image photo.jpg --class-image tea.jpg --class-image soap.jpg --output found.png",
        "oneshot detect --image photos --class-image classes --output found --output found.csv",
        "oneshot detect --image aisle.mp4 --class-image tea=tea.jpg --class-image tea=tea_side.jpg --output found.mp4",
        "oneshot detect --image photo.jpg --class-image tea.jpg --model quickstart/contrastive-seed0 --threshold 0.4 "
        "--json",
    ],
    "tests/unit/test_detector_baselines.py::test_onenet_detects_what_its_predictor_detects": [
        "oneshot detect --image street.jpg --model models/r50_dcn.pth --class person --class car --output found.json",
    ],
    "tests/unit/test_detector_training.py::test_the_command_line_evaluates_a_network_in_several_sizes": [
        f"{TRAIN_DETECTOR} {DETECTOR_FILE} OUTPUT_DIR output/detector",
        f"{TRAIN_DETECTOR} ... --test_weights output/detector/model_best.pth TEST.BBOX_AUG.ENABLED True "
        'TEST.BBOX_AUG.SCALES "(480, 600, 768, 960, 1152, 1344, 1536)"',
    ],
    "tests/unit/test_joint_evaluation.py::test_the_published_command_line_is_understood": [
        "python baselines/detector_retrieval/main_detector_retrieval.py --retrieval_multiscale --retrieval_image_size "
        "240 --retrieval_network_path output/retrieval/.../model_best.pth.tar --maskrcnn_config_file "
        f"{DETECTOR_FILE} --maskrcnn_weight_file output/detector/model_best.pth eval.dataset_names "
        '\'["grozi-val-new-cl"]\' eval.dataset_scales "[1280]" eval.mAP_iou_thresholds "[0.5]"',
    ],
    "tests/unit/test_onenet_demo.py::test_images_of_a_pattern_go_to_a_folder": [
        "mkdir found",
        "python baselines/onenet/demo.py --config-file baselines/onenet/configs/onenet.res50.dcn.yaml --input *.jpg "
        "--output found --confidence-threshold 0.4 --opts MODEL.WEIGHTS r50_dcn.pth",
    ],
    "tests/unit/test_onenet_evaluation.py::test_crowdhuman_from_published_annotations_to_measures": [
        "python baselines/onenet/convert_crowdhuman_to_coco.py",
        "python baselines/onenet/crowdhuman_eval.py --result "
        "output_onenet_r50fcos_crowdhuman/inference/coco_instances_results.json --gt "
        "datasets/crowdhuman/annotations/val.json",
    ],
    "tests/integration/test_onenet_export.py::test_onnx_runtime_finds_the_same": [
        "oneshot export r50_dcn.pth r50_dcn.onnx --config-file onenet.res50.dcn",
        "oneshot export model_final.pth onenet.onnx --config-file onenet.res18.nodcn",
    ],
    "tests/unit/test_bench_orchestration.py::test_a_run_of_cheap_stages_prints_json_and_keeps_it": [
        "oneshot bench orchestration --quick",
        "oneshot bench orchestration --stages plan,status",
    ],
    "tests/unit/test_bench.py::test_a_run_measures_every_stage_and_states_its_conditions": [
        "oneshot bench os2d --quick",
        "oneshot bench os2d --stages match,training-step --repeat 20",
    ],
    "tests/unit/test_onenet_bench.py::test_every_stage_is_measured_beside_the_peaks_of_the_machine": [
        "oneshot bench onenet --config onenet.res18.nodcn --quick"
    ],
}
"""Test that runs it, with smaller settings where it would take long, -> the commands."""

WAITING = {
    "minutes: eight trainings": [
        "make quickstart",
        "oneshot run experiments/own_photos.py --data my-photos",
    ],
    "minutes: twelve trainings, nine of which are stopped early": ["oneshot run experiments/sweep_example.py"],
    "minutes: a training, of which test_retrieval.py and test_retrieval_tasks.py have the options and a smaller one": [
        TRAIN_RETRIEVAL
    ],
    "a model of yours; test_contributing.py does the same with the example": [
        "cp docs/examples/template_matching.py baselines/my_model.py",
        "cp docs/examples/compare_template_matching.py experiments/my_model.py",
        "oneshot run experiments/my_model.py --only my-model --launcher local",
        "oneshot table experiments/my_model.py",
        'oneshot detect --image photo.jpg --class-image tea.jpg --model "my-model/three sizes-seed0" '
        "--output found.png",
    ],
    "minutes: the checks themselves": [
        "pytest tests/unit/test_spaces.py",
        "ruff format . && ruff check --fix . && mypy",
    ],
    "a training on your own photos": [
        'python main.py train.dataset_name "custom:my_photos#train" train.dataset_scale 768.0 eval.dataset_names '
        "'[\"custom:my_photos#val\"]' eval.dataset_scales '[768.0]'",
    ],
    "minutes: an installation from a package index": [
        "make install PYTHON=/opt/python3.12/bin/python3.12 VENV=/scratch/me/oneshot",
        "make install VENV=/shared/me/oneshot",
        "sudo apt-get install make git python3-venv",
        "source .venv/bin/activate",
        "source /shared/me/oneshot/bin/activate",
        "python3 -m venv .venv",
        ".venv/bin/pip install -e .",
        ".venv/bin/pip install torch torchvision --index-url ADDRESS",
        "pip install -e '.[export]'",
        "pip install -e '.[serve]'",
        "make clean",
    ],
    "data and a cluster": [
        "oneshot run experiments/table3_retail.py --launcher slurm --partition gpu",
        "oneshot run experiments/table3_retail.py --launcher slurm --partition gpu --slots 16",
        "oneshot run experiments/onenet_coco.py --launcher slurm",
        "export ONESHOT_DATA=/shared/me/data ONESHOT_RUNS=/shared/me/runs",
    ],
    "trials of the paper: tables of what is not there yet, as test_paper_tables.py has them": [
        "oneshot table experiments/table3_retail.py",
        "oneshot table experiments/table3_retail.py --format latex",
        "oneshot table experiments/table3_retail.py --format latex -o table3.tex",
        "oneshot table experiments/onenet_coco.py",
    ],
    "a GPU": [
        'python -c "import torch; print(torch.__version__, torch.cuda.is_available())"',
        "oneshot bench onenet --config onenet.res18.nodcn --precision bf16 --compile",
        "oneshot bench os2d --precision bf16",
        "oneshot export model_final.pth onenet.plan --config-file onenet.res18.nodcn --engine tensorrt --size 864x512 "
        "--half",
    ],
    "COCO, CrowdHuman or photos of cells": [
        "python baselines/onenet/train_net.py --config-file baselines/onenet/configs/onenet.res50.dcn.yaml "
        "--num-gpus 8",
        "python baselines/onenet/train_net.py --config-file baselines/onenet/configs/onenet.res18.nodcn.yaml "
        "DATASETS.TRAIN \"['cells/train.json:cells/photos']\" DATASETS.TEST \"['cells/val.json:cells/photos']\" "
        "MODEL.OneNet.NUM_CLASSES 3 MODEL.WEIGHTS models/resnet18-f37072fd.pth SOLVER.IMS_PER_BATCH 16 "
        "SOLVER.BASE_LR 1.25e-5",
        "python baselines/onenet/train_net.py --num-gpus 8 --config-file "
        "baselines/onenet/configs/onenet.fcos.res50.crowdhuman.yaml",
        "DETECTRON2_DATASETS=data oneshot run experiments/onenet_bccd.py --only onenet-bccd-short",
    ],
    "minutes: a measurement at full size": [
        "oneshot bench os2d --output bench.json --plot bench.png",
        "oneshot bench orchestration --output orchestration.json",
        "oneshot bench orchestration --format markdown",
        "( . /tmp/slurm/env.sh; oneshot bench orchestration --stages slurm )",
        "oneshot bench coae",
        "oneshot bench coae --net res50 --classes 16",
        "oneshot bench joint",
        "oneshot bench joint --boxes 40 --classes 20 --image-size 120 --repeat 2",
        "oneshot bench onenet --config onenet.res18.nodcn",
        "oneshot bench onenet --config onenet.res50.nodcn --batches 1 --training-batch 0 --format markdown",
    ],
    "a checkout of the published program": [
        "oneshot bench os2d --against ../os2d-published",
        "oneshot bench os2d --against FOLDER --repeat 10 --format markdown",
    ],
    "forty minutes and a cluster: the test suite itself": ["pytest -m cluster tests/integration -k recovery"],
    "an hour or more: every mutant runs the tests of its function": [
        "pip install cosmic-ray",
        "python -m tests.mutants",
        "python -m tests.mutants os2d/modeling/assignment.py --lines 72 74",
    ],
    "a server of yours": [
        "mlflow server --backend-store-uri sqlite:////data/mlflow.db --artifacts-destination /data/artifacts "
        "--host 0.0.0.0",
        "export MLFLOW_TRACKING_URI=http://that-host:5000",
    ],
    "a container engine; tests/integration/test_container.py carries out what they would": [
        "docker compose up --build",
        "docker compose -f docker-compose.yml -f docker/gpu.yml up --build",
        "docker build -f docker/Dockerfile -t oneshot-lab:cpu .",
        "docker build -f docker/Dockerfile -t oneshot-lab:cuda --build-arg DEVICE=cuda .",
        'docker run --rm -p 8000:8000 -v "$PWD:/workspace:ro" oneshot-lab:cpu',
        'docker run --rm -p 8000:8000 -v "$PWD:/workspace:ro" --gpus all oneshot-lab:cuda serve --model os2d_v2-train',
        "MLFLOW_TRACKING_URI=http://localhost:5000 oneshot sync",
    ],
    "somebody who ends it: it follows until Ctrl-C": ["oneshot sync --follow"],
}
"""What a command waits for -> the commands."""


def listed() -> list[str]:
    """Return every command of the table, as often as it stands there."""
    return [command for table in (RUN, RUN_BY, WAITING) for commands in table.values() for command in commands]
