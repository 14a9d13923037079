"""Models of the published sizes with random weights, in float16: python torch_weights.py FOLDER NAME...

Writes sd15, preference, sdxl-unet or tiny-preference, folders as diffusers and transformers have them, with PyTorch
alone. Zeros would not do: a GPU that multiplies zeros needs less power and is faster. A folder that is there is left as
it is.
"""

import argparse
import ctypes
import json
import pathlib
import shutil
import struct
import time

import torch

from torch_clip import Preference, TextEncoder
from torch_models import Autoencoder, UNet

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIP_TEXT = {
    "architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "vocab_size": 49408, "hidden_size": 768,
    "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 77,
    "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "projection_dim": 768, "bos_token_id": 0, "eos_token_id": 2,
    "pad_token_id": 1}
VAE = {
    "_class_name": "AutoencoderKL", "act_fn": "silu", "in_channels": 3, "out_channels": 3, "latent_channels": 4,
    "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "norm_num_groups": 32, "sample_size": 512,
    "scaling_factor": 0.18215, "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4}
UNET = {
    "_class_name": "UNet2DConditionModel", "act_fn": "silu", "in_channels": 4, "out_channels": 4, "layers_per_block": 2,
    "norm_num_groups": 32, "norm_eps": 1e-5, "flip_sin_to_cos": True, "freq_shift": 0}
SD15 = UNET | {
    "sample_size": 64, "block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 768,
    "attention_head_dim": 8, "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3}
SDXL = UNET | {
    "sample_size": 128, "block_out_channels": [320, 640, 1280], "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}
PREFERENCE = {
    "architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 1024, "logit_scale_init_value": 2.6592,
    "text_config": CLIP_TEXT | {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "hidden_act": "gelu", "projection_dim": 1024},
    "vision_config": {
        "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
        "image_size": 224, "patch_size": 14, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "projection_dim": 1024}}
PREPROCESSOR = {
    "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3, "size": 224,
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
TYPES = {torch.float16: "F16", torch.float32: "F32"}


def write_safetensors(tensors, path):
    header, offset = {}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            # Without numpy, which not every PyTorch comes with.
            values = tensor.detach().cpu().contiguous().reshape(-1)
            file.write((ctypes.c_char * (values.numel() * values.element_size())).from_address(values.data_ptr()))


def read_safetensors(path, device="cpu"):
    data = bytearray(pathlib.Path(path).read_bytes())
    size, = struct.unpack("<Q", data[:8])
    kinds = {name: kind for kind, name in TYPES.items()}
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            kind, count = kinds[entry["dtype"]], (end - start) // (2 if entry["dtype"] == "F16" else 4)
            flat = torch.frombuffer(data, dtype=kind, count=count, offset=8 + size + start)
            tensors[name] = flat.reshape(entry["shape"]).to(device)
    return tensors


def make(kind, config, device, dtype=torch.float16):
    """As PyTorch initializes its layers."""
    torch.manual_seed(0)
    kept = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return kind(config).eval()
    finally:
        torch.set_default_dtype(kept)


def write_part(folder, kind, config, stem, device):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    write_safetensors(make(kind, config, device).state_dict(), folder / f"{stem}.safetensors")


def write_sd15(folder, device):
    write_part(folder / "unet", UNet, SD15, "diffusion_pytorch_model", device)
    write_part(folder / "vae", Autoencoder, VAE, "diffusion_pytorch_model", device)
    write_part(folder / "text_encoder", TextEncoder, CLIP_TEXT, "model", device)
    tiny = ROOT / "data/tiny-sd"
    for name in ("scheduler", "tokenizer", "model_index.json"):
        copy = shutil.copytree if (tiny / name).is_dir() else shutil.copy
        copy(tiny / name, folder / name)
    settings = folder / "tokenizer/tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 77}))


def write_sdxl_unet(folder, device):
    """And the configuration of a text encoder, which has a prompt's length."""
    write_part(folder / "unet", UNet, SDXL, "diffusion_pytorch_model", device)
    (folder / "text_encoder").mkdir()
    (folder / "text_encoder/config.json").write_text(json.dumps(CLIP_TEXT))


def write_preference(folder, device):
    write_part(folder, Preference, PREFERENCE, "model", device)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))


def write_tiny_preference(folder, device):
    """Of the embedded model's size."""
    tiny = ROOT / "data/tiny-preference"
    write_part(folder, Preference, json.loads((tiny / "config.json").read_text()), "model", device)
    shutil.copy(tiny / "preprocessor_config.json", folder)


MODELS = {
    "sd15": write_sd15, "preference": write_preference, "sdxl-unet": write_sdxl_unet,
    "tiny-preference": write_tiny_preference}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("name", nargs="+", choices=MODELS)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name in options.name:
        folder, part = options.folder / name, options.folder / f"{name}.part"
        if not folder.exists():
            start = time.monotonic()
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            MODELS[name](part, device)
            part.rename(folder)
            print(f"{folder}: written in {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
