"""CoAE and detector + retrieval, small enough to train from random weights on a laptop's CPU.

Products of the ``shelf`` images are 50 to 80 pixels wide and high; both systems see the images at 0.6 of their size.
"""

SMALL_COAE = {
    "is_cuda": False,
    "model.net": "res18",
    "model.group_norm": True,
    "model.fixed_blocks": -1,
    "model.query_size": 64,
    "model.anchor_scales": [2.0, 2.75],
    "model.anchor_ratios": [1.0],
    "train.batch_size": 4,
    "train.epochs": 20,
    "train.scales": [144],
    "train.proposals.before_nms": 1000,
    "train.proposals.after_nms": 50,
    "train.rpn.samples": 128,
    "train.head.samples": 12,
    "train.optim.optim_method": "adam",
    "train.optim.lr": 1e-3,
    "train.optim.milestones": [17],
    "train.optim.reload_best_model": False,
    "eval.iter": 1000,
    "eval.scales": [144],
    "eval.proposals.before_nms": 500,
    "eval.proposals.after_nms": 24,
    "runtime.num_workers": 0,
}

SMALL_DETECTOR = {
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN",
    "MODEL.BACKBONE.FREEZE_CONV_BODY_AT": 0,
    "MODEL.RESNETS.NORM": "GN",
    "MODEL.RESNETS.BACKBONE_OUT_CHANNELS": 64,
    "MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN": 200,
    "MODEL.RPN.FPN_POST_NMS_TOP_N_TEST": 100,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 64,
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 30,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 128,
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 0,
    "INPUT.TO_BGR255": False,
    "INPUT.PIXEL_MEAN": [0.485, 0.456, 0.406],
    "INPUT.PIXEL_STD": [0.229, 0.224, 0.225],
    "INPUT.MIN_SIZE_TRAIN": (144,),
    "INPUT.MIN_SIZE_TEST": 144,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.ASSUMED_GPUS": 1,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.BASE_LR": 0.01,
    "SOLVER.MAX_ITER": 300,
    "SOLVER.STEPS": (240,),
    "SOLVER.WARMUP_ITERS": 30,
    "SOLVER.VALIDATION_PERIOD": 300,
}

SMALL_RETRIEVAL = {
    "is_cuda": False,
    "data.image_size": 64,
    "network.arch": "resnet18",
    "train.epochs": 3,
    "train.negatives": 3,
    "train.queries": 200,
    "train.pool": 500,
    "train.lr": 1e-4,
    "eval.validate": False,
    "eval.after_last_epoch": True,
    "runtime.num_workers": 0,
}

LONGER_SIDE_PX = 192.0
"""Of an image whose shorter side has 144 pixels."""
