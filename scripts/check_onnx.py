"""Runs the ONNX files that the tests exported in onnxruntime: `cargo test --test program onnx` leaves them, with their
inputs and the expected outputs, in target/tmp/onnx. Needs the packages numpy and onnxruntime."""

import sys
from pathlib import Path

import numpy
import onnxruntime

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "target/tmp/onnx")
files = sorted(folder.glob("*.onnx"))
worst = 0.0
for file in files:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    images = session.get_inputs()[0]
    inputs = numpy.fromfile(file.with_suffix(".in"), "<f4").reshape(-1, *images.shape[1:])
    expected = numpy.fromfile(file.with_suffix(".out"), "<f4")
    (got,) = session.run(None, {images.name: inputs})
    difference = abs(got.ravel() - expected).max() / max(1, abs(expected).max())
    print(f"{file.name:<28} {difference:.1e}")
    worst = max(worst, difference)
print(f"{len(files)} files, largest difference {worst:.1e} of the largest output")
sys.exit(int(not files or worst > 1e-5))
