"""Where the published data sets and weights live; :mod:`os2d.download.how_to_get` says what to type to get them.

Paths are those of the published projects, relative to the folder that holds ``data`` and ``models``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class RemoteFile:
    """One file on a server.

    Args:
        file: where the file is kept.
        google_drive_id: of a file on Google Drive; exclusive with ``url``.
        url: http, https or ftp address.
        unpack_to: folder in which the archive is unpacked; empty: the file is kept as it is.
        sha256_prefix: the first digits of the checksum, where the publisher tells them.
    """

    file: str
    google_drive_id: str = ""
    url: str = ""
    unpack_to: str = ""
    sha256_prefix: str = ""


@dataclass(frozen=True)
class DatasetDownload:
    """Files that make some named data sets available.

    Args:
        name: what ``oneshot data fetch`` calls it.
        files: what is fetched; empty when it can only be had by hand.
        provides: data set names; ``*`` stands for any ending.
        holds: paths that are there once it is complete.
        size: about how much is transferred.
        manual: the steps by hand, where there is no public address.
        needs: further entries of the table that the data sets cannot do without.
        note: what a user should know before.
    """

    name: str
    files: tuple[RemoteFile, ...] = ()
    provides: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    size: str = ""
    manual: str = ""
    needs: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ModelDownload:
    """Published weights.

    Args:
        name: what ``oneshot models fetch`` calls them.
        files: what is fetched; the first one holds the weights.
        google_drive_folder: id of a folder whose files are all fetched, in place of ``files``.
        folder: where the files of ``google_drive_folder`` are kept.
        size: about how much is transferred.
        convert: layout of the file, as ``oneshot models convert`` names it; empty when it can be used as it is.
        converted: what the converted file is called.
        also_called: further names under which published commands mention the converted file.
        mAP_grozi_val_new_cl: published result of the weights, in percent.
        note: what a user should know before.
    """

    name: str
    files: tuple[RemoteFile, ...] = ()
    google_drive_folder: str = ""
    folder: str = ""
    size: str = ""
    convert: str = ""
    converted: str = ""
    also_called: tuple[str, ...] = ()
    mAP_grozi_val_new_cl: float | None = None  # the published name of the metric
    note: str = ""


DATASETS = (
    DatasetDownload(
        name="grozi",
        files=(RemoteFile("data/grozi.zip", google_drive_id="1Fx9lvmjthe3aOqjvKc6MJpMuLF22I1Hp", unpack_to="data"),),
        provides=("grozi-train", "grozi-train-mini", "grozi-val-old-cl", "grozi-val-new-cl", "grozi-val-all"),
        holds=("data/grozi/classes/grozi.csv", "data/grozi/classes/images", "data/grozi/src/3264"),
        size="0.5 GB",
    ),
    DatasetDownload(
        name="retail",
        files=(
            RemoteFile(
                "data/retail_test_sets.zip", google_drive_id="1Vp8sm9zBOdshYvND9EPuYIu0O9Yo346J", unpack_to="data"
            ),
        ),
        provides=("dairy", "paste-v", "paste-f"),
        holds=(
            "data/dairy/classes/dairy.csv",
            "data/dairy/classes/images",
            "data/dairy/src/original",
            "data/paste/classes/paste.csv",
            "data/paste/classes/images",
            "data/paste/src/original",
        ),
        size="0.1 GB",
    ),
    DatasetDownload(
        name="instre",
        files=(
            RemoteFile(
                "data/instre/gnd_instre.mat", url="ftp://ftp.irisa.fr/local/texmex/corpus/instre/gnd_instre.mat"
            ),
            RemoteFile(
                "data/instre/instre.tar.gz",
                url="ftp://ftp.irisa.fr/local/texmex/corpus/instre/instre.tar.gz",
                unpack_to="data/instre",
            ),
        ),
        provides=("instre-all", "instre-s1-*", "instre-s2-*"),
        holds=("data/instre/gnd_instre.mat", "data/instre/INSTRE-S1", "data/instre/INSTRE-S2", "data/instre/INSTRE-M"),
        size="2.3 GB",
    ),
    DatasetDownload(
        name="repmet-episodes",
        files=(
            RemoteFile(
                "data/ImageNet-RepMet/RepMet_CVPR2019_data/data/Imagenet_LOC/voc_inloc_roidb.pkl",
                google_drive_id="1VFQkO4WToV7OMggzu6F_sOuuHno_qEFE",
            ),
            RemoteFile(
                "data/ImageNet-RepMet/RepMet_CVPR2019_data/data/Imagenet_LOC/episodes/"
                "epi_inloc_in_domain_1_5_10_500.pkl",
                google_drive_id="1yjBvPoVO-PAnTEXnpHAfTv5XQ1Xg1pJS",
            ),
        ),
        provides=("imagenet-repmet-test-episode-*",),
        holds=(
            "data/ImageNet-RepMet/RepMet_CVPR2019_data/data/Imagenet_LOC/voc_inloc_roidb.pkl",
            "data/ImageNet-RepMet/RepMet_CVPR2019_data/data/Imagenet_LOC/episodes/epi_inloc_in_domain_1_5_10_500.pkl",
        ),
        needs=("ilsvrc2012",),
        note="boxes only: the photos are those of ilsvrc2012",
    ),
    DatasetDownload(
        name="ilsvrc2012",
        provides=("imagenet-repmet-train", "imagenet-repmet-val-*"),
        holds=(
            "data/ImageNet-RepMet/ILSVRC/Data/CLS-LOC",
            "data/ImageNet-RepMet/ILSVRC/Annotations/CLS-LOC",
        ),
        manual=(
            "register at image-net.org, download ILSVRC2012, and link data/ImageNet-RepMet/ILSVRC to the folder that "
            "holds Data/CLS-LOC and Annotations/CLS-LOC"
        ),
        note="the 214 test classes of RepMet, which training leaves out, follow from the files of repmet-episodes",
    ),
    DatasetDownload(
        name="coco2017",
        holds=("datasets/coco/annotations", "datasets/coco/train2017", "datasets/coco/val2017"),
        manual=(
            "download train2017, val2017 and their annotations from cocodataset.org, and link "
            "datasets/coco/annotations, datasets/coco/train2017 and datasets/coco/val2017 to them"
        ),
    ),
)

MODELS = (
    ModelDownload(
        name="os2d_v2-train",
        files=(RemoteFile("models/os2d_v2-train.pth", google_drive_id="1l_aanrxHj14d_QkCpein8wFmainNAzo8"),),
        size="about 40 MB",
        mAP_grozi_val_new_cl=90.65,
    ),
    ModelDownload(
        name="os2d_v1-train",
        files=(RemoteFile("models/os2d_v1-train.pth", google_drive_id="1ByDRHMt1x5Ghvy7YTYmQjmus9bQkvJ8g"),),
        mAP_grozi_val_new_cl=88.71,
    ),
    ModelDownload(
        name="os2d_v2-init",
        files=(RemoteFile("models/os2d_v2-init.pth", google_drive_id="1sr9UX45kiEcmBeKHdlX7rZTSA4Mgt0A7"),),
        mAP_grozi_val_new_cl=86.07,
    ),
    ModelDownload(
        name="weakalign",
        files=(
            RemoteFile(
                "models/weakalign_resnet101_affine_tps.pth.tar",
                url="http://www.di.ens.fr/willow/research/weakalign/trained_models/weakalign_resnet101_affine_tps.pth.tar",
            ),
        ),
    ),
    ModelDownload(
        name="resnet18-torchvision",
        files=(
            RemoteFile(
                "models/resnet18-f37072fd.pth",
                url="https://download.pytorch.org/models/resnet18-f37072fd.pth",
                sha256_prefix="f37072fd",
            ),
        ),
    ),
    ModelDownload(
        name="resnet50-torchvision",
        files=(
            RemoteFile(
                "models/resnet50-19c8e357.pth",
                url="https://download.pytorch.org/models/resnet50-19c8e357.pth",
                sha256_prefix="19c8e357",  # torchvision writes the first digits into the file name
            ),
        ),
    ),
    ModelDownload(
        name="resnet101-torchvision",
        files=(
            RemoteFile(
                "models/resnet101-5d3b4d8f.pth",
                url="https://download.pytorch.org/models/resnet101-5d3b4d8f.pth",
                sha256_prefix="5d3b4d8f",
            ),
        ),
    ),
    ModelDownload(
        name="resnet50-caffe2",
        files=(
            RemoteFile(
                "models/imagenet-caffe-resnet50-features-ac468af.pth",
                url="http://cmp.felk.cvut.cz/cnnimageretrieval/data/networks/imagenet/imagenet-caffe-resnet50-features-ac468af.pth",
            ),
        ),
        convert="caffe2-cirtorch",
        converted="models/imagenet-caffe-resnet50-features-ac468af-converted.pth",
        also_called=("models/imagenet-caffe-resnet50-features-ac468af-renamed.pth",),
    ),
    ModelDownload(
        name="resnet101-caffe2",
        files=(
            RemoteFile(
                "models/imagenet-caffe-resnet101-features-10a101d.pth",
                url="http://cmp.felk.cvut.cz/cnnimageretrieval/data/networks/imagenet/imagenet-caffe-resnet101-features-10a101d.pth",
            ),
        ),
        convert="caffe2-cirtorch",
        converted="models/imagenet-caffe-resnet101-features-10a101d-converted.pth",
        also_called=("models/imagenet-caffe-resnet101-features-10a101d-renamed.pth",),
    ),
    ModelDownload(
        name="resnet50-groupnorm",
        files=(
            RemoteFile(
                "models/R-50-GN.pkl",
                url="https://dl.fbaipublicfiles.com/detectron/ImageNetPretrained/47261647/R-50-GN.pkl",
            ),
        ),
        convert="caffe2-groupnorm",
        converted="models/resnet50_caffe2_groupnorm.pth",
    ),
    ModelDownload(
        name="resnet50-msra",
        files=(
            RemoteFile(
                "models/MSRA-R-50.pkl",
                url="https://dl.fbaipublicfiles.com/detectron/ImageNetPretrained/MSRA/R-50.pkl",
            ),
        ),
    ),
    ModelDownload(
        name="resnet101-msra",
        files=(
            RemoteFile(
                "models/MSRA-R-101.pkl",
                url="https://dl.fbaipublicfiles.com/detectron/ImageNetPretrained/MSRA/R-101.pkl",
            ),
        ),
    ),
    ModelDownload(
        name="maskrcnn-r50",
        files=(
            RemoteFile(
                "models/maskrcnn-benchmark/e2e_mask_rcnn_R_50_FPN_1x.pth",
                url="https://download.pytorch.org/models/maskrcnn/e2e_mask_rcnn_R_50_FPN_1x.pth",
            ),
            RemoteFile(
                "models/maskrcnn-benchmark/e2e_mask_rcnn_R_50_FPN_1x.yaml",
                url="https://raw.githubusercontent.com/facebookresearch/maskrcnn-benchmark/master/configs/e2e_mask_rcnn_R_50_FPN_1x.yaml",
            ),
        ),
        convert="maskrcnn-benchmark",
        converted="models/maskrcnn-benchmark/e2e_mask_rcnn_R_50_FPN_1x_converted.pth",
    ),
    ModelDownload(
        name="maskrcnn-r101",
        files=(
            RemoteFile(
                "models/maskrcnn-benchmark/e2e_mask_rcnn_R_101_FPN_1x.pth",
                url="https://download.pytorch.org/models/maskrcnn/e2e_mask_rcnn_R_101_FPN_1x.pth",
            ),
            RemoteFile(
                "models/maskrcnn-benchmark/e2e_mask_rcnn_R_101_FPN_1x.yaml",
                url="https://raw.githubusercontent.com/facebookresearch/maskrcnn-benchmark/master/configs/e2e_mask_rcnn_R_101_FPN_1x.yaml",
            ),
        ),
        convert="maskrcnn-benchmark",
        converted="models/maskrcnn-benchmark/e2e_mask_rcnn_R_101_FPN_1x_converted.pth",
    ),
    ModelDownload(
        name="gl18-resnet101-gem",
        files=(
            RemoteFile(
                "models/gl18-tl-resnet101-gem-w-a4d43db.pth",
                url="http://cmp.felk.cvut.cz/cnnimageretrieval/data/networks/gl18/gl18-tl-resnet101-gem-w-a4d43db.pth",
            ),
        ),
        convert="cirtorch",
        converted="models/gl18-tl-resnet101-gem-w-a4d43db-converted.pth",
    ),
    ModelDownload(
        name="retrieval-whitening-resnet101",
        files=(
            RemoteFile(
                "models/retrieval-SfM-120k-resnet101-gem-whiten-22ab0c1.pth",
                url="http://cmp.felk.cvut.cz/cnnimageretrieval/data/whiten/retrieval-SfM-120k/retrieval-SfM-120k-resnet101-gem-whiten-22ab0c1.pth",
            ),
        ),
        note="the whitening layer that training of a retrieval network with ResNet-101 starts from",
    ),
    ModelDownload(
        name="os2d-instre",
        files=(RemoteFile("models/os2d-instre.archive", google_drive_id="1PL1Ac78zuYTLGkgMxe1gGiEWBEuGJIr9"),),
        note=(
            "shared by the author of OS2D in an issue of the project (number 33), who was 'not sure whether those are "
            "the correct ones'; to be unpacked by hand in the folder that holds models"
        ),
    ),
    ModelDownload(
        name="resnet50-detectron2",
        files=(
            RemoteFile(
                "models/detectron2/ImageNetPretrained/torchvision/R-50.pkl",
                url="https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/torchvision/R-50.pkl",
            ),
        ),
    ),
    ModelDownload(
        name="mobilenet-v2-torchvision",
        files=(
            RemoteFile(
                "models/mobilenet_v2-b0353104.pth",
                url="https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
                sha256_prefix="b0353104",
            ),
        ),
    ),
    ModelDownload(
        name="mobilenet-v3-large-torchvision",
        files=(
            RemoteFile(
                "models/mobilenet_v3_large-8738ca79.pth",
                url="https://download.pytorch.org/models/mobilenet_v3_large-8738ca79.pth",
                sha256_prefix="8738ca79",
            ),
        ),
    ),
    ModelDownload(
        name="onenet",
        google_drive_folder="1LnHMj7pkJhODeZTNHW-UcUZxybKbQmTB",
        folder="models/onenet",
        note="the folder that OneNet's authors share: ResNet-18 with and without dcn, torchvision's ResNet-18 as pkl",
    ),
)

_IMAGENET_WITHOUT_TEST_CLASSES = (
    "nobody publishes it: train torchvision's ResNet-101 on ILSVRC2012 without the 214 test classes of RepMet, as "
    "PyTorch's ImageNet example does (90 epochs, batches of 256, learning rate 0.1; the published run reached 75.8 % "
    "top-1), and copy its model_best.pth.tar there; no conversion is needed"
)

WEIGHTS_BY_HAND = {
    "model_best_maskrcnnbenchmark.pth.tar": _IMAGENET_WITHOUT_TEST_CLASSES,
    "model_best_cirtorch.pth.tar": _IMAGENET_WITHOUT_TEST_CLASSES,
}
"""Name of a weights file that published commands read and nobody publishes -> how to make it."""

MODELS_FOLDER = PurePath("models")
