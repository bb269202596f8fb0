"""The configuration trees of the retrieval tasks: every key, its default and its meaning.

Defaults are what the published programs default to, but for the values that all published experiments share. Light on
purpose (no torch).
"""

from __future__ import annotations

from yacs.config import CfgNode


def _runtime() -> CfgNode:
    runtime = CfgNode()  # how the work is done; no key here changes a result; one branch for all, so one setting does
    runtime.data_root = ""  # folder of the detection data sets that are prepared; empty: $ONESHOT_DATA, else ./data
    runtime.num_workers = 2  # processes that load pictures for a network; 0: the task's own process
    runtime.num_threads = 0  # CPU threads of torch; 0: torch's own choice
    runtime.checkpoint_seconds = 60.0  # time between resumable checkpoints
    return runtime


_PREPARE = CfgNode()
_PREPARE.random_seed = 42  # of the random crops and of the pairs that are chosen
_PREPARE.prepare = CfgNode()
_PREPARE.prepare.train = "grozi-train"  # detection data sets
_PREPARE.prepare.train_scale = 1280.0  # image size at which their objects are seen: random crops may not be too small
_PREPARE.prepare.val = "grozi-val-new-cl"
_PREPARE.prepare.val_scale = 1280.0
_PREPARE.prepare.tests = ["grozi-val-old-cl", "grozi-val-new-cl"]
_PREPARE.prepare.test_scales = [1280.0]  # one for all, or one for each
_PREPARE.prepare.random_crops = 0  # per image, as further negatives
_PREPARE.prepare.positive_iou = 0.7  # a random crop that overlaps an object by more is a picture of its class
_PREPARE.prepare.negative_iou = 0.3  # and by more than this it is no negative of that class
_PREPARE.prepare.pairs_per_object = 0  # pairs of an object with others of its class; also queries per class in tests
_PREPARE.output = CfgNode()
_PREPARE.output.path = ""  # folder of the retrieval data sets; empty: retrieval_data in the folder of the run
_PREPARE.runtime = _runtime()

_TRAIN = CfgNode()
_TRAIN.is_cuda = True  # run on the GPU; asking for one on a machine without is an error
_TRAIN.random_seed = 0  # every random choice is derived from it
_TRAIN.data = CfgNode()
_TRAIN.data.path = ""  # folder of the retrieval data sets, where no need `data` gives it
_TRAIN.data.train = "grozi-train-retrieval-rndCropPerImage10"
_TRAIN.data.tests = ["grozi-val-new-cl-retrieval-rndCropPerImage10"]  # the first one decides which network is the best
_TRAIN.data.image_size = 240  # longer side of a picture in pixels, at most; the published program defaults to 1024
_TRAIN.network = CfgNode()
_TRAIN.network.arch = "resnet101"  # resnet18, resnet34, resnet50 or resnet101
_TRAIN.network.pooling = "gem"  # gem, mac, spoc or rmac
_TRAIN.network.whitening = False  # a fully connected layer after pooling
_TRAIN.init = CfgNode()
_TRAIN.init.network = ""  # a retrieval network, or a ResNet of Caffe2 or torchvision; empty: random
_TRAIN.init.whitening = ""  # a published whitening layer, used where init.network has none; empty: random
_TRAIN.train = CfgNode()
_TRAIN.train.epochs = 100  # 0 (new): the initial network is tested and kept
_TRAIN.train.loss = "contrastive"  # contrastive or triplet (new)
_TRAIN.train.margin = 0.85  # of the loss; the published program defaults to 0.7
_TRAIN.train.negatives = 5  # per pair
_TRAIN.train.queries = 2000  # pairs drawn for an epoch
_TRAIN.train.pool = 20000  # pictures among which an epoch looks for negatives
_TRAIN.train.batch_size = 5  # tuples whose gradients are summed into one step
_TRAIN.train.optim_method = "adam"  # adam or sgd
_TRAIN.train.lr = 1e-6
_TRAIN.train.momentum = 0.9  # of sgd
_TRAIN.train.weight_decay = 1e-4
_TRAIN.train.lr_decay = 0.01  # the learning rate is multiplied by exp(-lr_decay) after every epoch
_TRAIN.train.pooling_lr_factor = 10.0  # the exponent of GeM learns faster, and without weight decay
_TRAIN.eval = CfgNode()
_TRAIN.eval.validate = True  # compute the loss of the validation part before every epoch
_TRAIN.eval.iter = 1  # epochs between two tests
_TRAIN.eval.after_last_epoch = False  # (new) test the network after the last epoch too; the published one never was
_TRAIN.output = CfgNode()
_TRAIN.output.path = ""  # folder for checkpoints and log; empty: nothing is saved
_TRAIN.output.save_epochs = 0  # keep the network of every so many epochs; 0: only the initial and the best one
_TRAIN.runtime = _runtime()

_WHITEN = CfgNode()
_WHITEN.is_cuda = True  # run on the GPU; asking for one on a machine without is an error
_WHITEN.random_seed = 0  # nothing is random; here because every task has one
_WHITEN.network = ""  # a checkpoint of a retrieval network, where no need `retrieval` gives it
_WHITEN.data = CfgNode()
_WHITEN.data.path = ""  # folder of the retrieval data sets, where no need `data` gives it
_WHITEN.data.train = "grozi-train-retrieval-rndCropPerImage10"  # whose pairs teach the whitening
_WHITEN.data.tests = []  # data sets on which it is tested
_WHITEN.data.image_size = 240  # longer side of a picture in pixels, at most
_WHITEN.scales = [1.0, 1.4142135623730951, 0.7071067811865475]  # of several-scale descriptors
_WHITEN.runtime = _runtime()

NEUTRAL_KEYS = ("output.", "runtime.")
"""Prefixes of keys that cannot change any result."""


def preparation_config() -> CfgNode:
    """Return a fresh tree for the task that prepares retrieval data sets."""
    return _PREPARE.clone()


def training_config() -> CfgNode:
    """Return a fresh tree for the task that trains a retrieval network."""
    return _TRAIN.clone()


def whitening_config() -> CfgNode:
    """Return a fresh tree for the task that learns a whitening."""
    return _WHITEN.clone()
