"""Golden cases of single models: writes unet-*, vae-*, text-*, preference-* beside itself.

Usage: python generate.py [NAME...]   (all cases unless names are given; README.md has the schema)
"""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Reference"))

import torch
from safetensors.torch import load_file, save_file

import reference as ref

DOWN, CROSS_DOWN = "DownBlock2D", "CrossAttnDownBlock2D"
UP, CROSS_UP = "UpBlock2D", "CrossAttnUpBlock2D"


# ---------------------------------------------------------------------------------------------
# U-Net


def unet_case(folder, seed, config, batch, size, length, gradients=False, half=False, steps=None):
    unet = ref.save_model(ref.build_unet(seed, **config), folder / "unet", half)
    channels = config["cross_attention_dim"]
    inputs = {
        "sample": ref.normal(seed + 1, batch, unet.config.in_channels, *size),
        "timestep": torch.tensor(steps or [1, 501, 951][:batch]),
        "encoder_hidden_states": ref.normal(seed + 2, batch, length, channels),
    }
    if config.get("addition_embed_type") == "text_time":
        width = config["addition_time_embed_dim"]
        pooled = config["projection_class_embeddings_input_dim"] - 6 * width
        inputs["text_embeds"] = ref.normal(seed + 3, batch, pooled)
        inputs["time_ids"] = torch.tensor([[64.0, 48, 0, 8, 1024, 768]]).repeat(batch, 1)
    of_inputs = ("sample", "encoder_hidden_states") if gradients else ()
    tensors = ref.case_tensors(unet, ref.apply_unet, inputs, seed + 10, gradients, of_inputs)
    ref.save_case(tensors, folder / "case.safetensors")


def unet_config(**config):
    standard = dict(sample_size=8, layers_per_block=1, norm_num_groups=2)
    return standard | config


UNETS = {
    # The smallest, with every gradient: the blocks of the embedded model.
    "unet-tiny": dict(
        seed=100, batch=3, size=(8, 8), length=7, gradients=True,
        config=unet_config(
            block_out_channels=(4, 8), down_block_types=(DOWN, CROSS_DOWN),
            up_block_types=(CROSS_UP, CROSS_UP), cross_attention_dim=6, attention_head_dim=2)),
    # The embedded model's own shape at a quarter of its width.
    "unet-world": dict(
        seed=120, batch=2, size=(16, 16), length=24, half=True,
        config=unet_config(
            block_out_channels=(8, 16), down_block_types=(DOWN, CROSS_DOWN), sample_size=16,
            up_block_types=(CROSS_UP, CROSS_UP), cross_attention_dim=16, attention_head_dim=4)),
    # Stable Diffusion v1's block order, four levels, two layers, 77 tokens.
    "unet-v1": dict(
        seed=140, batch=1, size=(16, 8), length=77, half=True, steps=[999],
        config=unet_config(
            block_out_channels=(4, 4, 8, 8), layers_per_block=2, norm_num_groups=4,
            down_block_types=(CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
            up_block_types=(UP, CROSS_UP, CROSS_UP, CROSS_UP), cross_attention_dim=12,
            attention_head_dim=2)),
    # Sizes that no power of two divides: the up blocks are told the size of the skip.
    "unet-odd": dict(
        seed=160, batch=2, size=(5, 7), length=1, gradients=True, half=True,
        config=unet_config(
            block_out_channels=(3, 6, 6), norm_num_groups=3, down_block_types=(DOWN, CROSS_DOWN, DOWN),
            up_block_types=(UP, CROSS_UP, UP), cross_attention_dim=5, attention_head_dim=1)),
    # Without padding an odd size is halved downwards, and the up blocks restore 1 more than twice of it.
    "unet-unpadded": dict(
        seed=170, batch=2, size=(9, 11), length=2, gradients=True, half=True,
        config=unet_config(
            block_out_channels=(4, 6, 6), down_block_types=(DOWN, CROSS_DOWN, DOWN),
            up_block_types=(UP, CROSS_UP, UP), cross_attention_dim=5, attention_head_dim=1,
            downsample_padding=0)),
    # Heads by level, two layers in a block, the other order of sine and cosine.
    "unet-heads": dict(
        seed=180, batch=2, size=(6, 10), length=3, half=True,
        config=unet_config(
            block_out_channels=(4, 8, 8), layers_per_block=2, norm_num_groups=4,
            down_block_types=(CROSS_DOWN, DOWN, CROSS_DOWN), up_block_types=(CROSS_UP, UP, CROSS_UP),
            cross_attention_dim=20, attention_head_dim=[1, 2, 4], flip_sin_to_cos=False,
            freq_shift=1, norm_eps=1e-4)),
    # A skip of another width, an odd size and a single transformer level at the top.
    "unet-wide": dict(
        seed=200, batch=1, size=(9, 17), length=5, half=True,
        config=unet_config(
            block_out_channels=(8, 12), norm_num_groups=4, down_block_types=(CROSS_DOWN, DOWN),
            up_block_types=(UP, CROSS_UP), cross_attention_dim=12, attention_head_dim=4)),
    # Linear projections around the transformers.
    "unet-linear": dict(
        seed=220, batch=2, size=(8, 4), length=4, gradients=True, half=True,
        config=unet_config(
            block_out_channels=(4, 6), down_block_types=(CROSS_DOWN, DOWN),
            up_block_types=(UP, CROSS_UP), cross_attention_dim=6, attention_head_dim=[1, 2],
            use_linear_projection=True)),
    # The form of Stable Diffusion XL.
    "unet-xl": dict(
        seed=240, batch=2, size=(8, 12), length=9, gradients=True, half=True,
        config=unet_config(
            block_out_channels=(4, 4, 8), down_block_types=(DOWN, CROSS_DOWN, CROSS_DOWN),
            up_block_types=(CROSS_UP, CROSS_UP, UP), cross_attention_dim=6,
            attention_head_dim=[1, 2, 4], transformer_layers_per_block=[1, 1, 2],
            use_linear_projection=True, addition_embed_type="text_time",
            addition_time_embed_dim=4, projection_class_embeddings_input_dim=10 + 24)),
}


# ---------------------------------------------------------------------------------------------
# Autoencoder


def vae_case(folder, seed, config, batch, size, gradients=False, half=False, clamped=False,
             tiles=None):
    vae = ref.build_vae(seed, **config)
    if clamped:  # one log-variance channel below -30, one above 20
        with torch.no_grad():
            latent = vae.config.latent_channels
            vae.quant_conv.bias[latent] = -60
            vae.quant_conv.bias[latent + 1] = 50
    ref.save_model(vae, folder / "vae", half)
    factor = 2 ** (len(config["block_out_channels"]) - 1)
    image = {"image": ref.normal(seed + 1, batch, 3, *size).clamp(-1, 1)}
    latent_size = [max(side // factor, 1) for side in size]
    latents = {"latents": ref.normal(seed + 2, batch, vae.config.latent_channels, *latent_size)}
    of = (lambda name: (name,)) if gradients else (lambda name: ())
    ref.save_case(
        ref.case_tensors(vae, ref.apply_vae_encode, image, seed + 10, False, of("image"))
        | parameter_gradients(vae, ref.apply_vae_encode, image, seed + 10, gradients),
        folder / "case-encode.safetensors")
    ref.save_case(
        ref.case_tensors(vae, ref.apply_vae_decode, latents, seed + 20, False, of("latents"))
        | parameter_gradients(vae, ref.apply_vae_decode, latents, seed + 20, gradients),
        folder / "case-decode.safetensors")
    if tiles:
        vae.enable_tiling()
        image = {"image": ref.normal(seed + 3, 1, 3, *tiles).clamp(-1, 1)}
        latents = {"latents": ref.normal(
            seed + 4, 1, vae.config.latent_channels, *(side // factor for side in tiles))}
        for name, apply, inputs in (
            ("encode", ref.apply_vae_encode, image), ("decode", ref.apply_vae_decode, latents),
        ):
            ref.save_case(
                ref.case_tensors(vae, apply, inputs, 0, False), folder / f"tiles-{name}.safetensors")


def parameter_gradients(vae, apply, inputs, seed, wanted):
    """Gradients of the half of the autoencoder that the operation uses."""
    if not wanted:
        return {}
    tensors = ref.case_tensors(vae, apply, inputs, seed)
    halves = {"image": ("encoder.", "quant_conv."), "latents": ("decoder.", "post_quant_conv.")}
    prefixes = tuple(f"grad.{prefix}" for prefix in halves[next(iter(inputs))])
    return {name: value for name, value in tensors.items() if name.startswith(prefixes)}


def vae_config(levels, **config):
    standard = dict(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels, layers_per_block=1, norm_num_groups=2,
        latent_channels=4, sample_size=16)
    return standard | config


VAES = {
    "vae-tiny": dict(
        seed=300, batch=2, size=(8, 12), gradients=True, clamped=True,
        config=vae_config(2, block_out_channels=(4, 6))),
    "vae-world": dict(
        seed=330, batch=1, size=(16, 16), half=True,
        config=vae_config(
            3, block_out_channels=(4, 6, 12), norm_num_groups=2, scaling_factor=1.0)),
    "vae-odd": dict(
        seed=360, batch=3, size=(13, 18), half=True, tiles=(36, 56),
        config=vae_config(
            3, block_out_channels=(6, 9, 9), layers_per_block=2, norm_num_groups=3,
            latent_channels=3)),
    "vae-plain": dict(
        seed=390, batch=1, size=(6, 5), gradients=True,
        config=vae_config(
            2, block_out_channels=(4, 4), mid_block_add_attention=False, use_quant_conv=False,
            use_post_quant_conv=False)),
}


# ---------------------------------------------------------------------------------------------
# Text encoders


def text_case(folder, seed, config, ids, part="text_encoder", gradients=True, half=False, old=False):
    projection = part == "text_encoder_2"
    model = ref.save_model(ref.build_text_encoder(seed, projection, **config), folder / part, half)
    if old:
        spell_old_keys(folder / part / "model.safetensors", config["max_position_embeddings"])
    tensors = ref.case_tensors(
        model, ref.apply_text_encoder, {"input_ids": torch.tensor(ids)}, seed + 10, gradients)
    if old:
        tensors = {
            name.replace("grad.", "grad.text_model.", 1): value for name, value in tensors.items()
        }
    ref.save_case(tensors, folder / "case.safetensors")


def spell_old_keys(path, positions):
    """The keys that transformers 4 writes: a prefix, and integer positions."""
    weights = {f"text_model.{name}": value for name, value in load_file(path).items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(positions)[None]
    save_file(weights, path, metadata={"format": "pt"})


def token_ids(seed, batch, length, vocabulary, ends):
    """Rows of words, closed and padded by the last id; `ends` are the positions of the first."""
    ids = torch.randint(0, vocabulary - 2, (batch, length), generator=ref.generator(seed))
    ids[:, 0] = vocabulary - 2
    for row, end in zip(ids, ends):
        row[end:] = vocabulary - 1
    return ids.tolist()


def text_config(**config):
    standard = dict(
        vocab_size=24, hidden_size=8, intermediate_size=12, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=24, bos_token_id=22, eos_token_id=23,
        pad_token_id=23, projection_dim=8)
    return standard | config


TEXTS = {
    "text-quick": dict(
        seed=400, config=text_config(), ids=token_ids(401, 3, 24, 24, (5, 11, 23))),
    # eos_token_id 2: pooled at the largest id, which is not the padding here; padded with 0.
    "text-largest": dict(
        seed=410, config=text_config(eos_token_id=2, hidden_act="gelu", layer_norm_eps=1e-4),
        ids=[[22, 3, 9, 23] + [0] * 20, [22, 2, 1, 4, 2, 23] + [0] * 18]),
    # The first eos counts, padding is another id.
    "text-old-keys": dict(
        seed=420, config=text_config(num_hidden_layers=3, pad_token_id=0, intermediate_size=32),
        ids=[[22, 3, 9, 23, 23, 4] + [0] * 18, [22, 2, 1, 4, 2, 5, 23] + [0] * 17], old=True),
    "text-projected": dict(
        seed=430, part="text_encoder_2",
        config=text_config(hidden_size=12, num_attention_heads=3, hidden_act="gelu",
                           projection_dim=10, eos_token_id=2),
        ids=token_ids(431, 2, 24, 24, (2, 9))),
    "text-long": dict(
        seed=440, half=True, gradients=False,
        config=text_config(vocab_size=520, hidden_size=20, intermediate_size=80,
                           num_attention_heads=4, max_position_embeddings=77, bos_token_id=518,
                           eos_token_id=519, pad_token_id=519),
        ids=token_ids(441, 2, 77, 520, (12, 76))),
}


# ---------------------------------------------------------------------------------------------
# Step-aware preference models


def preference_case(folder, seed, text, vision, projection, sizes, half=False, size=None):
    model = ref.build_preference(seed, text, vision, projection)
    ref.save_preference(model, folder, half, size)
    for name, image_size in sizes.items():
        batch = 3
        image = ref.normal(seed + 1, batch, 3, *image_size).clamp(-1, 1)
        inputs = {
            "image": image,
            "input_ids": torch.tensor(token_ids(seed + 2, batch, 24, 24, (3, 8, 23))),
            "timestep": torch.tensor([0, 251, 951]),
        }
        tensors = ref.case_tensors(model, ref.apply_preference, inputs, seed + 10, False, ("image",))
        ref.save_case(tensors, folder / f"case-{name}.safetensors")
    loss_case(model, folder, seed + 20)


def loss_case(model, folder, seed):
    """Labels both ways and tied, prompts with many examples; image values beyond the clamp."""
    batch, side = 4, 20
    labels = torch.tensor([1.0, 0.0, 0.5, 1.0])
    inputs = {
        "image_0": torch.rand((batch, 3, side, side), generator=ref.generator(seed)),
        "image_1": torch.rand((batch, 3, side, side), generator=ref.generator(seed + 1)),
        "input_ids": torch.tensor(token_ids(seed + 2, batch, 24, 24, (3, 8, 5, 23))),
        "timestep": torch.tensor([1, 0, 500, 999]),
        "label_0": labels,
        "label_1": 1 - labels,
        "examples_per_prompt": torch.tensor([1.0, 4.0, 2.0, 7.0]),
    }
    outputs = ref.apply_spm_loss(model, inputs)
    named = dict(model.named_parameters())
    tensors = {f"input.{name}": value for name, value in inputs.items()}
    tensors |= {f"output.{name}": value for name, value in outputs.items()}
    found = ref.gradients(outputs, {"loss": torch.ones(())}, named)
    tensors |= {f"grad.{name}": value for name, value in found.items()}
    ref.save_case(tensors, folder / "case-loss.safetensors")


def vision_config(**config):
    standard = dict(
        hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2,
        image_size=16, patch_size=4)
    return standard | config


PREFERENCES = {
    "preference-quick": dict(
        seed=500, text=text_config(), vision=vision_config(), projection=8,
        sizes={"square": (16, 16), "tall": (25, 14), "wide": (15, 34)}),
    "preference-gelu": dict(
        seed=550, half=True, size={"shortest_edge": 15}, projection=10,
        text=text_config(hidden_act="gelu", eos_token_id=2),
        vision=vision_config(hidden_act="gelu", image_size=15, patch_size=5, num_attention_heads=3),
        sizes={"large": (24, 24), "odd": (21, 42)}),
}


def main(wanted):
    torch.set_num_threads(1)
    for cases, make in (
        (UNETS, unet_case), (VAES, vae_case), (TEXTS, text_case), (PREFERENCES, preference_case),
    ):
        for name, settings in cases.items():
            if wanted and name not in wanted:
                continue
            folder = HERE / name
            shutil.rmtree(folder, ignore_errors=True)
            make(folder, **settings)
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            print(f"{name:20} {size / 1000:8.1f} kB")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
