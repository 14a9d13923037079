"""A tiny complete SDXL folder, pictures for seeds, and what its text encoders make of prompts.

Writes model/, pictures.json, pictures.safetensors and prompts.safetensors beside itself.
"""

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Reference"))

import diffusers
import torch
from safetensors.torch import save_file

import reference as ref

MODEL = dict(
    unet=dict(
        sample_size=8, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=[1, 2],
        transformer_layers_per_block=[1, 2]),
    vae=dict(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 6), layers_per_block=1, norm_num_groups=2, latent_channels=4,
        sample_size=16, scaling_factor=0.13025),
    text=dict(
        hidden_size=4, intermediate_size=6, num_hidden_layers=2, num_attention_heads=1,
        max_position_embeddings=24),
    text_2=dict(
        hidden_size=6, intermediate_size=10, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=24, projection_dim=5, hidden_act="gelu"))

PROMPT = "a red circle on the left and a blue square on the right, in the background"

PICTURES = {
    "own-size": dict(prompt=PROMPT, seed=42, steps=6, guidance=5.0),
    "negative": dict(prompt="purple triangle", seed=7, steps=4, guidance=3.0, size=[24, 8],
                     negative="yellow, green"),
    "empty-negative": dict(prompt=PROMPT, seed=7, steps=4, guidance=5.0, negative=""),
    "unguided": dict(prompt=PROMPT, seed=3, steps=3, guidance=1.0),
    "ddim": dict(prompt=PROMPT, seed=2**32 + 5, steps=5, guidance=5.0, eta=1.0),
    "pndm": dict(prompt=PROMPT, seed=42, steps=6, guidance=5.0),
    "dpm++": dict(prompt=PROMPT, seed=42, steps=6, guidance=5.0),
}
SCHEDULERS = {
    "ddim": diffusers.DDIMScheduler, "pndm": diffusers.PNDMScheduler,
    "dpm++": diffusers.DPMSolverMultistepScheduler,
}

# Those of ../stages.
PROMPTS = ["a red circle", "a blue square on green", 'a "quoted", comma', "zwei Kreise äöü 🎈"]


def main():
    torch.set_num_threads(1)
    folder = HERE / "model"
    shutil.rmtree(folder, ignore_errors=True)
    ref.save_pipeline_xl(folder, seed=3100, half=True, **MODEL)

    images = {}
    for name, settings in PICTURES.items():
        pipeline = ref.load_pipeline(folder)
        if name in SCHEDULERS:
            pipeline.scheduler = SCHEDULERS[name].from_pretrained(folder / "scheduler")
        image = torch.from_numpy(ref.sample_picture(pipeline, **settings)).contiguous()
        images[name] = image
        inside = float(((image > 0) & (image < 1)).float().mean())
        print(f"{name:15} mean {image.mean():.3f} sd {image.std():.3f} unclipped {inside:.2f}")
        if name in SCHEDULERS:
            settings["scheduler"] = name
    (HERE / "pictures.json").write_text(json.dumps(PICTURES, indent=1) + "\n")
    save_file(images, HERE / "pictures.safetensors")

    encoded = {}
    for prompt in PROMPTS + [""]:
        states, zeros, pooled, pooled_zeros = pipeline.encode_prompt(prompt)
        assert not zeros.any() and not pooled_zeros.any()
        encoded[f"embedding {prompt}"] = states[0].detach().contiguous()
        encoded[f"pooled {prompt}"] = pooled[0].detach().contiguous()
    save_file(encoded, HERE / "prompts.safetensors")


if __name__ == "__main__":
    main()
