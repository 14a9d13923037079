"""A tiny complete Stable Diffusion folder, token ids of texts, and pictures for seeds (DDIM).

Writes model/, tokens.json, pictures.json, pictures.safetensors and PICTURE.png beside itself.
"""

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Reference"))

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTokenizer

import reference as ref

MODEL = dict(
    unet=dict(
        sample_size=16, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=2),
    vae=dict(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 6), layers_per_block=1, norm_num_groups=2, latent_channels=4,
        sample_size=32, scaling_factor=0.9),
    text=dict(
        hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=24))

PROMPT = "a red circle on the left and a blue square on the right, in the background"

PICTURES = {
    "square": dict(prompt=PROMPT, seed=42, steps=10, guidance=7.5, size=[32, 32]),
    "wide": dict(prompt="purple triangle", seed=7, steps=10, guidance=3.0, size=[48, 24],
                 negative="yellow, green", eta=0.0),
    "noisy": dict(prompt="", seed=2**32 + 5, steps=5, guidance=5.0, size=[24, 32], eta=1.0),
    "unguided": dict(prompt=PROMPT, seed=3, steps=4, guidance=1.0, size=[32, 32]),
}

# Guidance away from a LoRA: the unconditional half adds it to that of the other half.
LORAS = {"lora": (dict(seed=3100, rank=2, size=0.3), 0.8), "negative": (dict(seed=3200, rank=3, size=0.3), 0.5)}
NEGATIVE = dict(prompt=PROMPT, negative="yellow", seed=11, steps=6, guidance=4.0, size=[32, 32])

TEXTS = [
    "", " ", "a red circle on the left", "A RED  Circle\tON\nthe left", "circles, squares & triangles!",
    "a-red circle's left; don't you'll we've I'm they'd", "<|startoftext|> red <|endoftext|> blue",
    "3 red circles and 12 blue", "Été à côté naïve", "e\u0301te\u0301 İstanbul ΣΑΣ ß",
    "红色 圆 三角形", "🙂🙂🏽 red👍", "\u00a0red\u3000blue\u200b", "red_circle red.circle (red)",
    "a red circle " * 12, "--help", "ǅ ﬁ ½ ²", "\u0000red", "''' 's '", "redredred leftright",
]


def negative_picture(pipeline):
    """Guidance by hand, with PEFT's adapters switched for each half."""
    for name, (settings, _) in LORAS.items():
        path = HERE / f"{name}.safetensors"
        save_file(ref.lora_weights(ref.random_lora(
            pipeline.unet, settings["rank"], settings["seed"], settings["size"])), path,
            metadata={"format": "pt"})
    # With adapters, layers have other names: all are made before the first is loaded.
    for name in LORAS:
        pipeline.load_lora_weights(HERE, weight_name=f"{name}.safetensors", adapter_name=name)
    strengths = {name: strength for name, (_, strength) in LORAS.items()}
    positive, negative = pipeline.encode_prompt(
        NEGATIVE["prompt"], "cpu", 1, True, NEGATIVE["negative"])
    scheduler = pipeline.scheduler
    scheduler.set_timesteps(NEGATIVE["steps"])
    width, height = NEGATIVE["size"]
    latents = torch.randn(
        (1, 4, height // 2, width // 2), generator=ref.generator(NEGATIVE["seed"]))
    latents = latents * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        pipeline.set_adapters(["lora"], [strengths["lora"]])
        conditional = pipeline.unet(latents, timestep, positive).sample
        pipeline.set_adapters(list(strengths), list(strengths.values()))
        unconditional = pipeline.unet(latents, timestep, negative).sample
        output = unconditional + NEGATIVE["guidance"] * (conditional - unconditional)
        latents = scheduler.step(output, timestep, latents, eta=0.0).prev_sample
    image = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return (image / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0).contiguous()


def main():
    torch.set_num_threads(1)
    folder = HERE / "model"
    shutil.rmtree(folder, ignore_errors=True)
    ref.save_pipeline(folder, seed=3000, half=True, **MODEL)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    tokens = [
        {"text": text,
         "ids": tokenizer(text, padding="max_length", truncation=True, max_length=24).input_ids}
        for text in TEXTS
    ]
    lines = ",\n".join(json.dumps(row) for row in tokens)
    (HERE / "tokens.json").write_text(f"[\n{lines}\n]\n")

    pipeline = ref.load_pipeline(folder)
    images = {}
    for name, settings in PICTURES.items():
        image = torch.from_numpy(ref.sample_picture(pipeline, **settings)).contiguous()
        images[name] = image
        pixels = (image * 255).round().byte().numpy()
        Image.fromarray(pixels).save(HERE / f"{name}.png")
        inside = float(((image > 0) & (image < 1)).float().mean())
        print(f"{name:10} mean {image.mean():.3f} sd {image.std():.3f} unclipped {inside:.2f}")
    with torch.no_grad():
        image = negative_picture(pipeline)
    print(f"negative   mean {image.mean():.3f} sd {image.std():.3f}")
    save_file({"image": image}, HERE / "negative-lora.safetensors")
    (HERE / "pictures.json").write_text(json.dumps(PICTURES, indent=1) + "\n")
    save_file(images, HERE / "pictures.safetensors")


if __name__ == "__main__":
    main()
