"""The same work as `spo bench unet`, done by OpenVINO in single precision.

Usage: python Tests/Reference/bench_openvino.py convert --model DIR --inputs FILE --folder FOLDER
       python Tests/Reference/bench_openvino.py time --inputs FILE --folder FOLDER [--repeat R]
                                            [--seconds S] [--threads T]

FILE is what `spo bench unet --save FILE` wrote. `convert` turns diffusers' U-Net into a model of
OpenVINO's for inputs of these shapes, in FOLDER, with what PyTorch computes from them. `time` runs it
in a process that never held PyTorch, and prints one JSON object as bench_torch.py does: max_error is
against ours, torch_error against PyTorch. Nothing else should be running.
"""

import argparse
import gc
import json
from pathlib import Path

import numpy as np
import openvino
from safetensors.numpy import load_file, save_file

import bench_timing

NAMES = ("sample", "timesteps", "hidden_states")


def convert(options):
    import torch  # here, so that `time` does without

    import bench_torch

    models = bench_torch.Models(options.model, None)
    unet = models.unet()
    options.batch = options.size = None
    given = bench_torch.unet_inputs(unet, models, bench_torch.Inputs(options.inputs), options)

    class Plain(torch.nn.Module):
        """Layout and type of the output as ours."""

        def __init__(self):
            super().__init__()
            self.unet = unet

        def forward(self, sample, timesteps, hidden_states):
            noise = self.unet(sample, timesteps, hidden_states, return_dict=False)[0]
            return bench_torch.our_layout(noise)

    plain = Plain().eval()
    with torch.inference_mode():
        expected = plain(*given).contiguous()
    save_file({"output": expected.numpy()} | {
        name: value.contiguous().numpy() for name, value in zip(NAMES, given)},
        options.folder / "expected.safetensors")
    converted = openvino.convert_model(
        plain, example_input=given, input=[list(value.shape) for value in given])
    del plain, unet, models
    gc.collect()
    openvino.save_model(converted, options.folder / "model.xml", compress_to_fp16=False)
    print(json.dumps({"name": "convert"}))


def relative_error(theirs, ours):
    """As in bench_torch.py: the largest difference as a share of the largest value of theirs."""
    difference = np.abs(theirs - ours.reshape(theirs.shape)).max()
    return float(difference / max(np.abs(theirs).max(), 1e-30))


def time(options):
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if options.threads:
        settings["INFERENCE_NUM_THREADS"] = options.threads
    compiled = core.compile_model(core.read_model(options.folder / "model.xml"), "CPU", settings)
    precision = compiled.get_property("INFERENCE_PRECISION_HINT")
    if precision != openvino.Type.f32:
        raise SystemExit(f"OpenVINO computes in {precision}, not in f32")
    threads = compiled.get_property("INFERENCE_NUM_THREADS")
    if options.threads and threads != options.threads:
        raise SystemExit(f"OpenVINO uses {threads} threads, not {options.threads}")
    expected = load_file(options.folder / "expected.safetensors")
    ours = load_file(options.inputs)["0.output"]
    given = [expected[name] for name in NAMES]
    request = compiled.create_infer_request()

    def work():
        return request.infer(given, share_inputs=True, share_outputs=True)[0]

    torch_error = []

    def compare(output):
        torch_error.append(relative_error(expected["output"], output))
        return relative_error(output, ours)

    gc.collect()
    bench_timing.forget_peak()
    result = bench_timing.measure(work, options, compare)
    print(json.dumps({"name": "unet"} | result | {
        "torch_error": torch_error[0], "threads": threads,
        "peak_rss_mb": round(bench_timing.peak_megabytes(), 1),
        "peer": f"openvino {openvino.__version__}"}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["convert", "time"])
    parser.add_argument("--model", metavar="DIR")
    parser.add_argument("--inputs", metavar="FILE", required=True)
    parser.add_argument("--folder", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.what == "convert":
        if not options.model:
            parser.error("convert needs --model")
        convert(options)
    else:
        time(options)


if __name__ == "__main__":
    main()
