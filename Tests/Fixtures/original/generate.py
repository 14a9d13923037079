"""Checkpoints in the original layout: writes sd15.json, sd21.json, sdxl.json and tiny.json beside itself.

Usage: python generate.py                 the names and shapes of the published models and of a tiny one
       python generate.py --models DIR    tiny random models, each as a folder and as a single file

The way from diffusers' names to the original ones is written down here; the way back is that of
diffusers' own single-file loader, and every model goes both ways. Made with diffusers 0.42.1,
transformers 5.23.0, torch 2.13.0.

A JSON file holds `tensors`, shapes by original name; `parts`, for each part shapes by diffusers' name;
`configurations`, what the published folders say.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as judge
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

HERE = Path(__file__).resolve().parent
UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP_L, CLIP_L_XL = "cond_stage_model.transformer.", "conditioner.embedders.0.transformer."
BIG_G, V2_H = "conditioner.embedders.1.model.", "cond_stage_model.model."

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}


def renamed(key, pairs):
    for new, old in pairs:
        if key.startswith(new + "."):
            return old + key[len(new):]
    raise KeyError(key)


def original_unet(state, layers, levels):
    pairs = [
        ("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
        ("add_embedding.linear_1", "label_emb.0.0"), ("add_embedding.linear_2", "label_emb.0.2"),
        ("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2"),
        ("mid_block.attentions.0", "middle_block.1"),
    ]
    resnets = {"mid_block.resnets.0": "middle_block.0", "mid_block.resnets.1": "middle_block.2"}
    for i in range(levels):
        for j in range(layers):
            number = 1 + (layers + 1) * i + j
            resnets[f"down_blocks.{i}.resnets.{j}"] = f"input_blocks.{number}.0"
            pairs.append((f"down_blocks.{i}.attentions.{j}", f"input_blocks.{number}.1"))
        pairs.append((
            f"down_blocks.{i}.downsamplers.0.conv", f"input_blocks.{(layers + 1) * (i + 1)}.0.op"))
        for j in range(layers + 1):
            number = (layers + 1) * i + j
            resnets[f"up_blocks.{i}.resnets.{j}"] = f"output_blocks.{number}.0"
            pairs.append((f"up_blocks.{i}.attentions.{j}", f"output_blocks.{number}.1"))
        last = (layers + 1) * i + layers
        has_attention = any(key.startswith(f"up_blocks.{i}.attentions") for key in state)
        pairs.append((
            f"up_blocks.{i}.upsamplers.0", f"output_blocks.{last}.{2 if has_attention else 1}"))
    pairs += [
        (f"{new}.{part}", f"{old}.{name}")
        for new, old in resnets.items() for part, name in RESNET.items()
    ]
    return {UNET + renamed(key, pairs): value for key, value in state.items()}


def original_vae(state, levels):
    pairs = [("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv")]
    attention = {
        "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    for half in ("encoder", "decoder"):
        pairs += [(f"{half}.conv_in", f"{half}.conv_in"), (f"{half}.conv_out", f"{half}.conv_out"),
                  (f"{half}.conv_norm_out", f"{half}.norm_out")]
        blocks = {f"{half}.mid_block.resnets.{i}": f"{half}.mid.block_{i + 1}" for i in range(2)}
        for i in range(levels):
            for j in range(9):
                blocks[f"encoder.down_blocks.{i}.resnets.{j}"] = f"encoder.down.{i}.block.{j}"
                blocks[f"decoder.up_blocks.{i}.resnets.{j}"] = (
                    f"decoder.up.{levels - 1 - i}.block.{j}")
            pairs += [
                (f"encoder.down_blocks.{i}.downsamplers.0", f"encoder.down.{i}.downsample"),
                (f"decoder.up_blocks.{i}.upsamplers.0", f"decoder.up.{levels - 1 - i}.upsample")]
        for new, old in blocks.items():
            pairs.append((f"{new}.conv_shortcut", f"{old}.nin_shortcut"))
            pairs += [(f"{new}.{part}", f"{old}.{part}")
                      for part in ("norm1", "conv1", "norm2", "conv2")]
        pairs += [(f"{half}.mid_block.attentions.0.{new}", f"{half}.mid.attn_1.{old}")
                  for new, old in attention.items()]
    tensors = {}
    for key, value in state.items():
        # 1 x 1 convolutions where diffusers has linear layers.
        if ".attentions." in key and value.dim() == 2:
            value = value[:, :, None, None]
        tensors[VAE + renamed(key, pairs)] = value
    return tensors


def original_openclip(state, prefix):
    tensors = {}
    parts = {
        "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj"}
    ends = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.weight": "ln_final.weight", "final_layer_norm.bias": "ln_final.bias"}
    for key, value in state.items():
        if key == "text_projection.weight":
            tensors[f"{prefix}text_projection"] = value.T.contiguous()
            continue
        key = key.removeprefix("text_model.")
        if key in ends:
            tensors[prefix + ends[key]] = value
            continue
        layer, rest = key.removeprefix("encoder.layers.").split(".", 1)
        block = f"{prefix}transformer.resblocks.{layer}."
        if ".q_proj." in rest:
            kind = rest.rsplit(".", 1)[1]
            joined = [state[f"text_model.{key.replace('.q_proj.', f'.{letter}_proj.')}"]
                      for letter in "qkv"]
            tensors[f"{block}attn.in_proj_{kind}"] = torch.cat(joined)
        elif ".k_proj." not in rest and ".v_proj." not in rest:
            tensors[block + renamed(rest, parts.items())] = value
    tensors[f"{prefix}logit_scale"] = torch.zeros((), dtype=torch.float32)
    return tensors


def text_state(encoder):
    state = encoder.state_dict()
    return {key if key.startswith("text_") else f"text_model.{key}": value
            for key, value in state.items() if not key.endswith("position_ids")}


def original_v2_text(encoder):
    """OpenCLIP's text encoder with the layer and the projection that Stable Diffusion 2 does not use."""
    tensors = original_openclip(text_state(encoder), V2_H)
    last = encoder.config.num_hidden_layers - 1
    above = {
        key.replace(f".resblocks.{last}.", f".resblocks.{last + 1}."): torch.ones_like(value)
        for key, value in tensors.items() if f".resblocks.{last}." in key}
    width = encoder.config.hidden_size
    return tensors | above | {f"{V2_H}text_projection": torch.zeros((width, width))}


def single_file(models):
    """All tensors of a model under their original names."""
    unet, vae = models["unet"], models["vae"]
    is_xl = "text_encoder_2" in models
    tensors = original_unet(
        unet.state_dict(), unet.config.layers_per_block, len(unet.config.block_out_channels))
    tensors |= original_vae(vae.state_dict(), len(vae.config.block_out_channels))
    if models["text_encoder"].config.hidden_act == "gelu":
        return tensors | original_v2_text(models["text_encoder"])
    prefix = CLIP_L_XL if is_xl else CLIP_L
    tensors |= {prefix + key: value for key, value in text_state(models["text_encoder"]).items()}
    tensors[f"{prefix}text_model.embeddings.position_ids"] = torch.arange(77)[None]
    if is_xl:
        tensors |= original_openclip(text_state(models["text_encoder_2"]), BIG_G)
    return tensors


def check(models, tensors):
    """Diffusers' loader finds in the single file what the models hold."""
    def same(found, expected):
        found = {key: value.reshape(expected[key].shape) for key, value in found.items()
                 if key in expected}
        assert found.keys() == expected.keys(), expected.keys() - found.keys()
        for key, value in found.items():
            assert value.is_meta or torch.equal(value, expected[key]), key

    unet, vae = models["unet"], models["vae"]
    config = dict(unet.config)
    if config.get("addition_embed_type"):
        config["class_embed_type"] = None
    same(judge.convert_ldm_unet_checkpoint(dict(tensors), config), unet.state_dict())
    same(judge.convert_ldm_vae_checkpoint(dict(tensors), dict(vae.config)), vae.state_dict())
    if any(key.startswith(V2_H) for key in tensors):
        found = judge.convert_open_clip_checkpoint(
            models["text_encoder"], dict(tensors), prefix=V2_H)
        return same(found, text_state(models["text_encoder"]))
    prefix = CLIP_L_XL if "text_encoder_2" in models else CLIP_L
    found = judge.convert_ldm_clip_checkpoint(dict(tensors), remove_prefix=prefix)
    same(found, text_state(models["text_encoder"]))
    if "text_encoder_2" in models:
        found = judge.convert_open_clip_checkpoint(
            models["text_encoder_2"], dict(tensors), prefix=BIG_G)
        same(found, text_state(models["text_encoder_2"]))


# ---------------------------------------------------------------------------------------------
# Models


def down(kinds):
    return tuple("CrossAttnDownBlock2D" if kind else "DownBlock2D" for kind in kinds)


def up(kinds):
    return tuple("CrossAttnUpBlock2D" if kind else "UpBlock2D" for kind in reversed(kinds))


def sd15(channels=(320, 640, 1280, 1280), width=768, vae=(128, 256, 512, 512), layers=2, text=12,
         vocabulary=49408, vae_layers=2):
    kinds = [True] * (len(channels) - 1) + [False]
    return {
        "unet": UNet2DConditionModel(
            sample_size=64, block_out_channels=channels, down_block_types=down(kinds),
            up_block_types=up(kinds), cross_attention_dim=width, layers_per_block=layers,
            attention_head_dim=8),
        "vae": AutoencoderKL(
            block_out_channels=vae, latent_channels=4, layers_per_block=vae_layers, sample_size=512,
            down_block_types=("DownEncoderBlock2D",) * len(vae),
            up_block_types=("UpDecoderBlock2D",) * len(vae)),
        "text_encoder": CLIPTextModel(CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width,
            num_hidden_layers=text, num_attention_heads=max(1, width // 64), projection_dim=width,
            eos_token_id=2)),
    }


def sd21(channels=(320, 640, 1280, 1280), width=1024, text=23, vocabulary=49408, **options):
    models = sd15(channels, width, vocabulary=vocabulary, **options)
    kinds = [True] * (len(channels) - 1) + [False]
    models["unet"] = UNet2DConditionModel(
        sample_size=96, block_out_channels=channels, down_block_types=down(kinds),
        up_block_types=up(kinds), cross_attention_dim=width,
        layers_per_block=options.get("layers", 2),
        attention_head_dim=tuple(max(1, channel // 64) for channel in channels),
        use_linear_projection=True)
    models["vae"].register_to_config(sample_size=768)
    models["text_encoder"] = CLIPTextModel(CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width,
        num_hidden_layers=text, num_attention_heads=max(1, width // 64), projection_dim=width,
        hidden_act="gelu", eos_token_id=2))
    return models


def sdxl(channels=(320, 640, 1280), widths=(768, 1280), vae=(128, 256, 512, 512), layers=2,
         text=(12, 32), vocabulary=49408, depths=(1, 2, 10), vae_layers=2):
    models = sd15(width=widths[0], vae=vae, text=text[0], vocabulary=vocabulary,
                  channels=(32, 32), vae_layers=vae_layers)
    kinds = [False] + [True] * (len(channels) - 1)
    models["unet"] = UNet2DConditionModel(
        sample_size=128, block_out_channels=channels, down_block_types=down(kinds),
        up_block_types=up(kinds), cross_attention_dim=sum(widths), layers_per_block=layers,
        attention_head_dim=tuple(max(1, channel // 64) for channel in channels),
        transformer_layers_per_block=depths, use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=widths[1] + 6 * 256)
    models["vae"].register_to_config(scaling_factor=0.13025, sample_size=1024)
    models["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=widths[1], intermediate_size=4 * widths[1],
        num_hidden_layers=text[1], num_attention_heads=max(1, widths[1] // 64),
        projection_dim=widths[1], hidden_act="gelu", eos_token_id=2))
    return models


def write_names(name, make):
    with torch.device("meta"):
        models = make()
        tensors = single_file(models)
        check(models, tensors)
    parts = {
        part: text_state(model) if part.startswith("text") else model.state_dict()
        for part, model in models.items()}
    contents = {
        "tensors": {key: list(value.shape) for key, value in tensors.items()},
        "parts": {part: {key: list(value.shape) for key, value in state.items()}
                  for part, state in parts.items()},
        "configurations": {part: json.loads(model.config.to_json_string() if part.startswith("text")
                                            else model.to_json_string())
                           for part, model in models.items()},
    }
    (HERE / f"{name}.json").write_text(json.dumps(contents, separators=(",", ":")) + "\n")
    print(name, len(tensors), "tensors")


def write_models(folder, name, make, seed):
    sys.path.insert(0, str(HERE.parents[1] / "Reference"))
    import reference as ref

    models = {part: ref.randomize(model, seed + i) for i, (part, model) in enumerate(make().items())}
    tensors = single_file(models)
    check(models, tensors)
    for part, model in models.items():
        model.save_pretrained(folder / name / part)
    save_file({key: value.contiguous() for key, value in tensors.items()},
              folder / f"{name}.safetensors")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--models"]:
        tiny = dict(vae=(32, 64), layers=1, vocabulary=120, vae_layers=1)
        folder = Path(sys.argv[2])
        write_models(folder, "sd15", lambda: sd15((32, 64), 48, text=2, **tiny), 1)
        write_models(folder, "sd21", lambda: sd21((32, 64), 64, text=23, **tiny), 5)
        write_models(
            folder, "sdxl", lambda: sdxl((32, 64), (48, 64), text=(2, 3), depths=(1, 2), **tiny), 9)
    else:
        write_names("sd15", sd15)
        write_names("sd21", sd21)
        write_names("sdxl", sdxl)
        write_names("tiny", lambda: sd15(
            (32, 64), 48, vae=(32, 64), layers=1, text=2, vocabulary=600, vae_layers=1))
