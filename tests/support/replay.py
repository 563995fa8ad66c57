"""Replays bundles in ONNX Runtime and prints how far the logits are from the host's. Runs on Python 3.8.

::

    python replay.py a.gdws b.gdws ...

Prints one JSON object: the versions, and by file and variant the largest logit difference over the largest logit.
"""

import io
import json
import sys

import numpy as np
import onnxruntime

from gdws_contract.archive import open_bundle


def replay(path):
    found = {}
    with open_bundle(path) as bundle:
        bundle.verify()

        def array(member):
            return np.load(io.BytesIO(bundle.read(member)), allow_pickle=False)

        images = array(bundle.manifest.verification.inputs)
        for variant in bundle.manifest.variants:
            session = onnxruntime.InferenceSession(bundle.read(variant.onnx), providers=["CPUExecutionProvider"])
            pairs = [(images, array(variant.outputs[0]))]
            if variant.adversarial_inputs is not None:
                pairs.append((array(variant.adversarial_inputs), array(variant.adversarial_outputs[0])))
            found[variant.name] = max(difference(session, *pair) for pair in pairs)
    return found


def difference(session, images, expected):
    """At the full batch, and one image at a time."""
    alone = [session.run(None, {"input": images[i : i + 1]})[0] for i in range(len(images))]
    together = session.run(None, {"input": images})[0]
    return max(
        float(np.abs(got - expected).max() / np.abs(expected).max()) for got in (together, np.concatenate(alone))
    )


if __name__ == "__main__":
    results = {path: replay(path) for path in sys.argv[1:]}
    print(json.dumps({"python": sys.version_info[:2], "onnxruntime": onnxruntime.__version__, "differences": results}))
