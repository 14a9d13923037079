"""Checks the program at the exact published sizes, with random weights: agreement with diffusers and
transformers, and the largest resident memory of whole training steps.

Usage: python Tests/Reference/full_size.py --folder DIR [--model sd15 --model sdxl --model preference]
                                       [--precision f32|f16] [--only "sd15 unet" --only "preference"]
                                       [--pictures PIXELS] [--program FILE]

DIR takes 5.3 GB for sd15 in f32, 7 GB for sdxl and 2.6 GB for the preference model in f16; models that
are there already are used again. A step of training the preference model writes 34 GB there, which it
removes. Relative error at most 1e-4, SD v1.5 within 8 GB, SDXL and the preference model within 20 GB.
"""

import argparse
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pyarrow.compute as compute
import pyarrow.parquet as parquet
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import reference as ref

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = 1e-4

# ---------------------------------------------------------------------------------------------
# The published configurations

CLIP_L = dict(
    vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
    num_attention_heads=12, max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=768,
    bos_token_id=0, eos_token_id=2, pad_token_id=1)
CLIP_BIG_G = CLIP_L | dict(
    hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
    hidden_act="gelu", projection_dim=1280)
VAE = dict(
    block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
SD15 = dict(
    sample_size=64, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
    cross_attention_dim=768, attention_head_dim=8)
SDXL = dict(
    sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2,
    cross_attention_dim=2048, attention_head_dim=(5, 10, 20),
    transformer_layers_per_block=(1, 2, 10), use_linear_projection=True,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    addition_embed_type="text_time", addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816)
UNET_PARAMETERS = {"sd15": 859_520_964, "sdxl": 2_567_463_684}
# CLIP ViT-H/14.
PREFERENCE_TEXT = CLIP_L | dict(
    hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
    hidden_act="gelu", projection_dim=1024)
PREFERENCE_VISION = dict(
    hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16,
    image_size=224, patch_size=14, hidden_act="gelu", projection_dim=1024)


def build(make, seed, half):
    """A model with random weights, never held in more than its own precision."""
    with torch.device("meta"):
        model = make()
    if half:
        model.half()
    return ref.randomize(model.to_empty(device="cpu"), seed)


def write_pipeline(name, folder, half):
    xl = name == "sdxl"
    texts = [("", CLIPTextModel, CLIP_L)]
    texts += [("_2", CLIPTextModelWithProjection, CLIP_BIG_G)] if xl else []
    for suffix, kind, config in texts:
        ref.save_tokenizer(folder / f"tokenizer{suffix}", ref.WORDS,
                           pad="!" if suffix else "<|endoftext|>")
        build(lambda: kind(CLIPTextConfig(**config)), 1, half).save_pretrained(
            folder / f"text_encoder{suffix}")
    vae = VAE | (dict(sample_size=1024, scaling_factor=0.13025, force_upcast=True) if xl
                 else dict(sample_size=512, scaling_factor=0.18215))
    build(lambda: AutoencoderKL(**vae), 2, half).save_pretrained(folder / "vae")
    unet = build(lambda: UNet2DConditionModel(**(SDXL if xl else SD15)), 3, half)
    count = sum(parameter.numel() for parameter in unet.parameters())
    assert count == UNET_PARAMETERS[name], count
    unet.save_pretrained(folder / "unet", max_shard_size="4GB" if xl else "10GB")
    if xl:
        (folder / "scheduler").mkdir()
        (folder / "scheduler/scheduler_config.json").write_text(json.dumps(ref.SCHEDULER_XL))
    else:
        ref.scheduler().save_pretrained(folder / "scheduler")
    index = ref.PIPELINE_INDEX_XL if xl else ref.PIPELINE_INDEX
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def preference_config():
    return CLIPConfig(
        text_config=PREFERENCE_TEXT, vision_config=PREFERENCE_VISION, projection_dim=1024)


def write_preference(folder, half):
    model = build(lambda: ref.StepAwareCLIP(preference_config()), 4, half)
    # Gates of 1, as training starts: products of random gates die away over 32 layers.
    with torch.no_grad():
        for layer in model.vision_model.encoder.layers:
            linear = layer.adaLN_modulation[1]
            linear.weight.mul_(0.1)
            bias = linear.bias.view(6, -1)
            bias[2] += 1
            bias[5] += 1
    folder.mkdir(parents=True)
    model.config.save_pretrained(folder)
    save_file({key: value.detach() for key, value in model.named_parameters()},
              folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "preprocessor_config.json").write_text(json.dumps(ref.PREPROCESSOR))


def model_folder(options, name):
    """The folder of a model, written the first time. Complete when it has its final name."""
    folder = options.folder / f"{name}-{options.precision}"
    if not folder.exists():
        start = time.monotonic()
        part = folder.with_name(folder.name + ".part")
        subprocess.run(["rm", "-rf", part], check=True)
        half = options.precision == "f16"
        if name == "preference":
            write_preference(part, half)
        else:
            write_pipeline(name, part, half)
        part.rename(folder)
        gc.collect()
        print(f"wrote {folder} in {time.monotonic() - start:.0f} s", flush=True)
    return folder


# ---------------------------------------------------------------------------------------------
# Judging


class Table:
    def __init__(self, options):
        self.options = options
        self.failed = []

    def wanted(self, name):
        return not self.options.only or any(name.startswith(prefix) for prefix in self.options.only)

    def run(self, *arguments):
        """Standard output, seconds and peak memory in GB of one run of the program."""
        start = time.monotonic()
        with tempfile.TemporaryFile("w+") as output:
            child = subprocess.Popen([self.options.program, *map(str, arguments)], stdout=output)
            peak = 0
            # Not the resources of the child: they count what its parent had when it began.
            while child.poll() is None:
                status = Path(f"/proc/{child.pid}/status").read_text()
                found = re.search(r"VmHWM:\s+(\d+) kB", status)
                peak = int(found[1]) * 1024 / 1e9 if found else peak
                time.sleep(0.1)
            if child.returncode:
                sys.exit(f"spo {' '.join(map(str, arguments))}: exit code {child.returncode}")
            output.seek(0)
            return output.read(), time.monotonic() - start, peak

    def row(self, name, seconds, peak, error=None, limit=None):
        passed = (error is None or error <= OUTPUT) and (limit is None or peak <= limit)
        if not passed:
            self.failed.append(name)
        error = f"{error:.1e} <= {OUTPUT:.0e}" if error is not None else ""
        limit = f" <= {limit}" if limit else ""
        print(f"{name:28}{error:>18}{seconds:9.1f} s{peak:8.2f} GB{limit:6}  "
              f"{'ok' if passed else 'FAILED'}", flush=True)

    def compare(self, name, folder, op, inputs, expected):
        given, result = self.options.folder / "in.safetensors", self.options.folder / "out.safetensors"
        save_file({key: value.contiguous() for key, value in inputs.items()}, given)
        _, seconds, peak = self.run(
            "apply", op, "--model", folder, "--inputs", given, "--outputs", result)
        found = load_file(result)
        error = max(
            float((found[key].double() - value.double()).abs().max() / value.abs().max())
            for key, value in expected.items())
        self.row(name, seconds, peak, error)


def check_parts(table, name, folder):
    """Every part of a model on small inputs."""
    xl = name == "sdxl"
    texts = [("text_encoder", CLIPTextModel)]
    texts += [("text_encoder_2", CLIPTextModelWithProjection)] if xl else []
    for part, kind in texts:
        if table.wanted(f"{name} {part}"):
            ids = torch.randint(0, 49408, (2, 77), generator=ref.generator(5))
            inputs = {"input_ids": ids}
            with torch.no_grad():
                model = kind.from_pretrained(folder / part, dtype=torch.float32)
                expected = ref.apply_text_encoder(model, inputs)
            del model
            table.compare(f"{name} {part}", folder, part, inputs, expected)
    for op, inputs in [
        ("vae.encode", {"image": ref.normal(6, 1, 3, 64, 96).clamp(-1, 1)}),
        ("vae.decode", {"latents": ref.normal(7, 1, 4, 8, 12)}),
    ]:
        if table.wanted(f"{name} {op}"):
            with torch.no_grad():
                model = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
                apply = ref.apply_vae_encode if op == "vae.encode" else ref.apply_vae_decode
                expected = apply(model, inputs)
            del model
            table.compare(f"{name} {op}", folder, op, inputs, expected)
    if table.wanted(f"{name} unet"):
        inputs = {
            "sample": ref.normal(8, 2, 4, 16, 24),
            "timestep": torch.tensor([951, 101]),
            "encoder_hidden_states": ref.normal(9, 2, 77, 2048 if xl else 768),
        }
        if xl:
            inputs["text_embeds"] = ref.normal(10, 2, 1280)
            inputs["time_ids"] = torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]] * 2)
        with torch.no_grad():
            model = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
            expected = ref.apply_unet(model, inputs)
        del model
        gc.collect()
        table.compare(f"{name} unet", folder, "unet", inputs, expected)


def check_preference(table, folder):
    if not table.wanted("preference scores"):
        return
    inputs = {
        "image": ref.normal(11, 1, 3, 256, 256).clamp(-1, 1),
        "input_ids": torch.randint(0, 49408, (1, 77), generator=ref.generator(12)),
        "timestep": torch.tensor([501]),
    }
    with torch.no_grad():
        with torch.device("meta"):
            model = ref.StepAwareCLIP(preference_config()).eval()
        weights = load_file(folder / "model.safetensors")
        model.load_state_dict(
            {key: weights.pop(key).float() for key in list(weights)}, strict=True, assign=True)
        for part in model.modules():  # not among the weights
            if hasattr(part, "position_ids"):
                part.position_ids = torch.arange(part.position_ids.shape[-1])[None]
        expected = ref.apply_preference(model, inputs)
    del model, weights
    gc.collect()
    table.compare("preference scores", folder, "preference", inputs, expected)


def check_preference_training(table, folder, options):
    """One training step of the preference model on two comparisons, with everything that its stage does."""
    if not table.wanted("preference training"):
        return
    work = options.folder / "preference-training"
    subprocess.run(["rm", "-rf", work], check=True)
    work.mkdir()
    for split, rows in (("train", 2), ("validation_unique", 1)):
        source, = (ROOT / "data/pickapic-sample/data").glob(f"{split}-*.parquet")
        comparisons = parquet.read_table(source)
        decided = comparisons.filter(compute.not_equal(comparisons["label_0"], 0.5))
        parquet.write_table(decided.slice(0, rows), work / source.name)
    pipeline = {
        "workspace": str(work / "workspace"),
        "model": str(model_folder(options, "sd15")),
        "guidance": 5,
        "stages": {
            "ingest": {"source": str(work / "*.parquet")},
            "encode": {"size": options.pictures, "batch": 1},
            "shard": {},
            "preference": {
                "start": str(folder), "steps": 1, "batch": 2, "micro_batch": 1, "estimate_batch": 1,
                "gradient_checkpointing": True, "optimizer_on_disk": True, "precision": "f16",
                "validation_pairs": 1, "validation_timesteps": [501]},
        },
    }
    (work / "pipeline.json5").write_text(json.dumps(pipeline))
    print(table.run("doctor", work / "pipeline.json5")[0])
    table.run("run", work / "pipeline.json5")
    state = json.loads((work / "workspace/state/preference.json").read_text())
    loss = json.loads((work / "workspace/preference/metrics.jsonl").read_text().splitlines()[0])
    print(f"first step: {loss}")
    table.row("preference training", state["seconds"], state["peak_memory"] / 1e9, limit=20)
    subprocess.run(["rm", "-rf", work], check=True)


def check_steps(table, name, folder, options):
    """Whole iterations at full resolution."""
    cases = {
        "sd15": [("spo-step", 8, ["--steps", 3, "--micro-batch", 1])],
        # Winner and loser from latents of their own, as after inner steps: four rows with guidance.
        "sdxl": [("spo-train", 20, ["--rank", 64, "--gradient-checkpointing"])],
    }
    for bench, limit, arguments in cases[name]:
        if not table.wanted(f"{name} {bench}"):
            continue
        preference = []
        if bench == "spo-step":
            preference = ["--preference", model_folder(options, "preference")]
        output, seconds, peak = table.run(
            "bench", bench, "--model", folder, *preference, "--batch", 1, "--repeat", 1, "--cold",
            "--json", *arguments)
        table.row(f"{name} {bench}", json.loads(output)["median_s"], peak, limit=limit)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--program", default=ROOT / ".build/release/spo")
    parser.add_argument("--model", action="append", choices=["sd15", "sdxl", "preference"])
    parser.add_argument("--precision", default="f16", choices=["f32", "f16"])
    parser.add_argument("--pictures", type=int, default=512, metavar="PIXELS",
                        help="a side of the pictures that the preference model is trained on")
    parser.add_argument("--only", action="append", metavar="PREFIX")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    table = Table(options)
    for name in options.model or ["sd15", "preference", "sdxl"]:
        folder = model_folder(options, name)
        if name == "preference":
            check_preference(table, folder)
            check_preference_training(table, folder, options)
        else:
            check_parts(table, name, folder)
            check_steps(table, name, folder, options)
    sys.exit(f"failed: {', '.join(table.failed)}" if table.failed else 0)


if __name__ == "__main__":
    main()
