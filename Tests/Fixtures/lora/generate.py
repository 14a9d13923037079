"""One tiny U-Net, LoRA files in every spelling, and the output that diffusers gives with each."""

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Reference"))

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, PeftModel
from safetensors.torch import save_file

import reference as ref

CONFIG = dict(
    sample_size=8, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=6,
    attention_head_dim=2)


def write(name, weights, metadata=None):
    path = HERE / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in weights.items()}, path,
              metadata={"format": "pt"} | (metadata or {}))
    if name == "processor":  # as diffusers wrote it at first
        torch.save({key: value.contiguous() for key, value in weights.items()}, HERE / f"{name}.bin")
    return path


def cast(weights, dtype):
    return {key: value.to(dtype) for key, value in weights.items()}


def peft_metadata(rank, alpha, prefix="unet."):
    """`lora_adapter_metadata` as diffusers writes it."""
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(ref.ATTENTION_PROJECTIONS))
    fields = {
        prefix + key: sorted(value) if isinstance(value, set) else value
        for key, value in config.to_dict().items()
    }
    return {"lora_adapter_metadata": json.dumps(fields, indent=2, sort_keys=True)}


def lora_files(pairs, wide):
    """(name, tensors, header, pairs as the file rounds them, alpha by module or None for the rank)"""
    names = list(pairs)
    one = {name: 1 for name in names}
    mixed = {name: [0.5, 1, 4][i % 3] for i, name in enumerate(names)}
    partial = {name: (wide if i % 2 else pairs)[name] for i, name in enumerate(names[::5])}
    half = {name: [part.half().float() for part in pair] for name, pair in pairs.items()}
    brain = {name: [part.bfloat16().float() for part in pair] for name, pair in pairs.items()}
    weights = ref.lora_weights
    return [
        ("diffusers", weights(pairs), None, pairs, None),
        ("diffusers-f16", cast(weights(pairs), torch.float16), None, half, None),
        ("diffusers-bf16", cast(weights(pairs), torch.bfloat16), None, brain, None),
        ("diffusers-metadata", weights(pairs), peft_metadata(rank=2, alpha=5), pairs,
         {name: 5 for name in names}),
        ("peft", weights(pairs, "peft"), None, pairs, None),
        ("processor", weights(pairs, "processor"), None, pairs, None),
        ("kohya", weights(pairs, "kohya", {name: 2 for name in names}), None, pairs, None),
        ("kohya-no-alpha", weights(pairs, "kohya"), None, pairs, None),
        ("kohya-alpha-1", weights(pairs, "kohya", one), None, pairs, one),
        ("kohya-mixed-f16", cast(weights(pairs, "kohya", mixed), torch.float16), None, half, mixed),
        ("partial", weights(partial), None, partial, None),
    ]


def adapter_folder(pairs, alpha):
    """PEFT's own folder: adapter_config.json beside adapter_model.safetensors."""
    folder = HERE / "adapter"
    folder.mkdir()
    config = LoraConfig(
        r=2, lora_alpha=alpha, target_modules=list(ref.ATTENTION_PROJECTIONS), inference_mode=True)
    config.save_pretrained(folder)
    path = folder / "adapter_config.json"
    fields = json.loads(path.read_text())
    fields["target_modules"].sort()  # peft writes a set
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")
    save_file(ref.lora_weights(pairs, "adapter"), folder / "adapter_model.safetensors",
              metadata={"format": "pt"})
    return folder


def merged(unet, pairs, alphas):
    """The U-Net with (alpha / rank) up * down added to its weights, by the definition."""
    modules = ref.attention_modules(unet)
    for name, (down, up) in pairs.items():
        rank = down.shape[0]
        modules[name].weight += (alphas[name] if alphas else rank) / rank * up @ down
    return unet


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    for path in HERE.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            shutil.rmtree(path)
        elif path.suffix == ".safetensors":
            path.unlink()
    unet = ref.save_model(ref.build_unet(2000, **CONFIG), HERE / "unet", half=True)
    inputs = {
        "sample": ref.normal(2010, 2, 4, 8, 8),
        "timestep": torch.tensor([801, 51]),
        "encoder_hidden_states": ref.normal(2011, 2, 7, 6),
    }

    def fresh():
        return UNet2DConditionModel.from_pretrained(HERE / "unet", dtype=torch.float32)

    def output(model):
        return ref.apply_unet(model, inputs)["sample"]

    tensors = {f"input.{name}": value for name, value in inputs.items()}
    tensors["output.none"] = output(unet)

    def record(name, loaded, pairs, alphas):
        defined = output(merged(fresh(), pairs, alphas))
        difference = float((loaded - defined).abs().max())
        print(f"{name:20} loader against definition {difference:.1e}")
        # diffusers 0.42.1 with peft 0.21.2 gives every module of a kohya file the commonest alpha.
        assert difference < 1e-5 or name == "kohya-mixed-f16"
        tensors[f"output.{name}"] = defined if name == "kohya-mixed-f16" else loaded

    pairs = ref.random_lora(unet, rank=2, seed=2001)
    for name, weights, header, rounded, alphas in lora_files(
            pairs, wide=ref.random_lora(unet, rank=3, seed=2002)):
        path = write(name, weights, header)
        record(name, output(ref.load_lora(fresh(), path)), rounded, alphas)
    adapted = PeftModel.from_pretrained(fresh(), adapter_folder(pairs, alpha=3))
    record("adapter", output(adapted), pairs, {name: 3 for name in pairs})
    ref.save_case(tensors, HERE / "case.safetensors")


if __name__ == "__main__":
    main()
