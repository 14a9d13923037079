"""Checks what the program makes of files as people have them, against diffusers and transformers.

Usage: python Tests/Reference/files.py [--program .build/release/spo] [--count 2] [--seed 0]
                                   [--only single] [--keep DIR]

Whole models in one file of the original layout, weights of torch, variants, indices, LoRA files of every
spelling, published preference models: each is made from random weights, read by `spo`, and compared with
what the libraries make of the same weights (1e-4). What `spo` writes is loaded by them, without a missing
or an unexpected key.
"""

import hashlib
import importlib.util
import io
import json
import os
import re
import shutil

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import harness
import parity
import reference as ref
from harness import ROOT, Failure

CLASSES = {
    "unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL,
    "text_encoder": transformers.CLIPTextModel,
    "text_encoder_2": transformers.CLIPTextModelWithProjection,
}


def original_layout():
    """The way from diffusers' names to the original ones, of the fixtures."""
    path = ROOT / "Tests/Fixtures/original/generate.py"
    spec = importlib.util.spec_from_file_location("original_layout", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def single_models(original, family, seed, layers=1):
    vocabulary = len(ref.byte_symbols()) * 2 + 200
    tiny = dict(vae=(32, 64), layers=layers, vocabulary=vocabulary, vae_layers=1)
    if family == "sd15":
        models = original.sd15((32, 64), 64, text=2, **tiny)
    else:
        models = original.sdxl((32, 64), (64, 128), text=(2, 3), depths=(1, 2), **tiny)
    return {part: ref.randomize(model, seed + i) for i, (part, model) in enumerate(models.items())}


def tokenizer_folder(judge, family):
    folder = judge.path(f"tokenizers {family}")
    for suffix, pad in (("", "<|endoftext|>"), ("_2", "!")):
        ref.save_tokenizer(folder / f"tokenizer{suffix}", ref.WORDS, pad=pad)
    return folder


def inputs_of(models, seed):
    unet = models["unet"].config
    inputs = {
        "sample": ref.normal(seed, 2, 4, 8, 8), "timestep": torch.tensor([3, 731]),
        "encoder_hidden_states": ref.normal(seed + 1, 2, 7, unet.cross_attention_dim),
    }
    if "text_encoder_2" in models:
        inputs["text_embeds"] = ref.normal(
            seed + 2, 2, models["text_encoder_2"].config.projection_dim)
        inputs["time_ids"] = torch.tensor([[512.0, 768, 0, 3, 1024, 1024]] * 2)
    ids = torch.randint(3, 500, (2, 77), generator=ref.generator(seed + 3))
    ids[:, 0], ids[:, 20:] = 498, 511  # a start, an end and padding
    return {
        "unet": ("unet", ref.apply_unet, inputs),
        "vae": ("vae.decode", ref.apply_vae_decode, {"latents": ref.normal(seed + 4, 1, 4, 4, 6)}),
        "vae encode": (
            "vae.encode", ref.apply_vae_encode,
            {"image": ref.normal(seed + 5, 1, 3, 16, 24).clamp(-1, 1)}),
    } | {
        part: (part, ref.apply_text_encoder, {"input_ids": ids})
        for part in models if part.startswith("text_encoder")
    }


def check_single_files(judge, options):
    original = original_layout()
    for family in ("sd15", "sdxl"):
        for dtype in (torch.float32, torch.float16):
            name = f"single {family} {str(dtype).removeprefix('torch.')}"
            if not judge.wanted(name):
                continue
            models = single_models(original, family, 10)
            if dtype == torch.float16:
                for model in models.values():
                    model.half().float()
            tensors = original.single_file(models)
            file = judge.path(name, "model.safetensors")
            save_file({key: value.to(dtype) if value.is_floating_point() else value
                       for key, value in tensors.items()}, file)
            for title, (op, expected, inputs) in inputs_of(models, 20).items():
                with judge.case(f"{name} {title}") as measured:
                    found = parity.apply(judge, name, op, inputs, model=file)
                    parity.compare(measured, found, expected(models[title.split()[0]], inputs))
            check_single_merged(judge, name, family, models, file)


def check_single_merged(judge, name, family, models, file):
    tokenizers = tokenizer_folder(judge, family)
    with judge.case(f"{name} merged without a tokenizer"):
        lora, _ = parity.random_lora_file(
            judge, name, models["unet"], "kohya alpha", parity.Shapes(name))
        judge.refuse("export", "--model", file, "--lora", lora, "--to", "merged", "--out",
                     judge.path(name, "none"), mentions=["--tokenizer"])
    # The second tokenizer is given, or made of the first; a bare vocabulary will do.
    bare = judge.path(f"{name} bare")
    bare.mkdir(exist_ok=True)
    for part in ("vocab.json", "merges.txt"):
        shutil.copy(tokenizers / "tokenizer" / part, bare)
    for title, folder in (("", tokenizers), (" bare tokenizer", bare)):
        with judge.case(f"{name} merged{title}") as measured:
            merged = judge.path(name, f"merged{title}")
            judge.run("export", "--model", file, "--lora", lora, "--to", "merged", "--tokenizer",
                      folder, "--out", merged)
            pipeline = ref.load_pipeline(merged)
            expected = {"sd15": diffusers.StableDiffusionPipeline,
                        "sdxl": diffusers.StableDiffusionXLPipeline}[family]
            if type(pipeline) is not expected:
                raise Failure(f"a {type(pipeline).__name__}")
            compare_merged(measured, models, merged, lora)
            for part in ("tokenizer", "tokenizer_2"):
                if hasattr(pipeline, part):
                    check_same_ids(judge, getattr(pipeline, part), merged / part, tokenizers / part)
            settings = dict(prompt="a red circle", seed=3, steps=4, guidance=5.0, size=(32, 48))
            arguments = [*parity.picture_arguments(settings), "--tokenizer", folder, "--lora", lora]
            parity.compare_pictures(
                judge, measured, name, file, arguments, ref.sample_picture(pipeline, **settings))


def compare_merged(measured, models, merged, lora):
    tuned = {part: model for part, model in models.items()}
    tuned["unet"] = diffusers.UNet2DConditionModel.from_config(models["unet"].config)
    tuned["unet"].load_state_dict(models["unet"].state_dict())
    ref.load_lora(tuned["unet"].eval(), lora)
    for title, (_, outputs, inputs) in inputs_of(models, 30).items():
        part = title.split()[0]
        loaded, report = CLASSES[part].from_pretrained(
            merged / part, output_loading_info=True, local_files_only=True)
        if any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")):
            raise Failure(f"{part}: {report}")
        with torch.no_grad():
            found, expected = outputs(loaded.eval(), inputs), outputs(tuned[part], inputs)
        parity.compare(measured, found, expected)


def check_same_ids(judge, tokenizer, *folders):
    for text in ("", "a red circle!", "blue ! on the left", "<|endoftext|> green"):
        expected = tokenizer(text, padding="max_length", truncation=True, max_length=77).input_ids
        for folder in folders:
            found = json.loads(judge.run("tokenize", "--model", folder, "--text", text))
            if found != expected:
                raise Failure(f"{folder.name} {text!r}: {found[:9]} instead of {expected[:9]}")


# ---------------------------------------------------------------------------------------------
# Weights as they lie in folders


def torch_shards(state, folder, stem, ending, middle=""):
    """Weights of torch in two files with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    names, half = list(state), len(state) // 2
    places = {}
    for number, part in enumerate((names[:half], names[half:]), start=1):
        file = f"{stem}{middle}-0000{number}-of-00002.bin"
        torch.save({name: state[name] for name in part}, folder / file)
        places |= {name: file for name in part}
    (folder / f"{stem}.{ending}").write_text(
        json.dumps({"metadata": {"total_size": 0}, "weight_map": places}))


def check_weights(judge, options):
    shapes = parity.Shapes(f"{options.seed} weights")
    config = shapes.unet()
    models = {
        "unet": ref.build_unet(1, **config),
        "vae": ref.build_vae(2, **shapes.vae() | dict(mid_block_add_attention=True)),
        "text_encoder": ref.build_text_encoder(3, **shapes.text(max_position_embeddings=77)),
    }
    rows = {
        "unet": ("unet", ref.apply_unet, shapes.unet_inputs(config)),
        "vae": ("vae.decode", ref.apply_vae_decode,
                {"latents": ref.normal(1, 1, models["vae"].config.latent_channels, 4, 4)}),
        "text_encoder": ("text_encoder", ref.apply_text_encoder,
                         {"input_ids": shapes.token_ids(models["text_encoder"].config.to_dict(), 2)}),
    }
    for part, (op, outputs, inputs) in rows.items():
        for title, write in WEIGHT_FORMS.items():
            name = f"weights {part} {title}"
            if not judge.wanted(name):
                continue
            with judge.case(name) as measured:
                model = models[part]
                if "half" in title:
                    model.half().float()
                folder = judge.path(name, part)
                model.save_config(folder) if hasattr(model, "save_config") else (
                    model.config.save_pretrained(folder))
                half = (lambda v: v.half()) if "half" in title else (lambda v: v)
                state = {key: half(value).contiguous() for key, value in model.state_dict().items()}
                stem = "model" if part.startswith("text") else "diffusion_pytorch_model"
                write(state, folder, stem, stem.replace("model", "pytorch_model")
                      if stem == "model" else stem)
                parity.compare(measured, parity.apply(judge, name, op, inputs),
                               outputs(model, inputs))


def with_old_names(state):
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, old in names.items():
        state = {key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
                 if "mid_block.attentions.0." in key and "transformer" not in key else key: value
                 for key, value in state.items()}
    return state


def save_index(state, folder, stem, index, shard):
    names, half = list(state), len(state) // 2
    places = {}
    for number, part in enumerate((names[:half], names[half:]), start=1):
        file = shard.format(stem=stem, number=f"0000{number}-of-00002")
        save_file({name: state[name] for name in part}, folder / file)
        places |= {name: file for name in part}
    (folder / index.format(stem=stem)).write_text(
        json.dumps({"metadata": {"total_size": 0}, "weight_map": places}))


WEIGHT_FORMS = {
    "safetensors": lambda s, f, stem, t: save_file(s, f / f"{stem}.safetensors"),
    "half": lambda s, f, stem, t: save_file(s, f / f"{stem}.safetensors"),
    "half variant": lambda s, f, stem, t: save_file(s, f / f"{stem}.fp16.safetensors"),
    "in shards": lambda s, f, stem, t: save_index(
        s, f, stem, "{stem}.safetensors.index.json", "{stem}-{number}.safetensors"),
    "half variant in shards": lambda s, f, stem, t: save_index(
        s, f, stem, "{stem}.safetensors.index.fp16.json", "{stem}.fp16-{number}.safetensors"),
    "half variant in shards, old index": lambda s, f, stem, t: save_index(
        s, f, stem, "{stem}.safetensors.fp16.index.json", "{stem}-{number}.fp16.safetensors"),
    "bin": lambda s, f, stem, t: torch.save(s, f / f"{t}.bin"),
    "bin half": lambda s, f, stem, t: torch.save(s, f / f"{t}.bin"),
    "bin half variant": lambda s, f, stem, t: torch.save(s, f / f"{t}.fp16.bin"),
    "bin in shards": lambda s, f, stem, t: torch_shards(s, f, t, "bin.index.json"),
    "bin, old protocol": lambda s, f, stem, t: torch.save(s, f / f"{t}.bin", pickle_protocol=4),
    "bin, old names of attention": lambda s, f, stem, t: torch.save(
        with_old_names(s) if f.name == "vae" else s, f / f"{t}.bin"),
}


# ---------------------------------------------------------------------------------------------
# Preference models


def check_preference(judge, options):
    """CLIP as the Hub has it, and the published step-aware models."""
    for index in range(options.count):
        shapes = parity.Shapes(f"{options.seed} preference files {index}")
        text, vision, projection = shapes.preference()
        model = ref.build_preference(shapes.seed(), text, vision, projection)
        inputs = {
            "input_ids": shapes.token_ids(text, 3), "timestep": torch.tensor([1, 501, 951]),
            "image": ref.normal(5, 3, 3, 40, 33).clamp(-1, 1),
        }
        state = {key: value.detach() for key, value in model.named_parameters()}
        forms = {
            "published bin": ("pytorch_model.bin", lambda f: torch.save(
                {f"model.{key}": value for key, value in state.items()}, f), None),
            "published bin by its own name": ("step-aware.bin", lambda f: torch.save(
                {f"model.{key}": value for key, value in state.items()}, f), "step-aware.bin"),
            "published safetensors": ("model.safetensors", lambda f: save_file(
                {f"model.{key}": value.contiguous() for key, value in state.items()}, f), None),
            "bfloat bin": ("pytorch_model.bin", lambda f: torch.save(
                {f"model.{key}": value.bfloat16() for key, value in state.items()}, f), None),
        }
        for title, (file, write, given) in forms.items():
            name = f"preference {title} {index}"
            if not judge.wanted(name):
                continue
            with judge.case(name) as measured:
                folder = preference_folder(judge, name, model)
                write(folder / file)
                expected = model
                if "bfloat" in title:
                    expected = ref.build_preference(0, text, vision, projection)
                    expected.load_state_dict({k: v.bfloat16().float() for k, v in state.items()},
                                             strict=False)
                found = parity.apply(judge, name, "preference", inputs,
                                     model=folder / given if given else folder)
                parity.compare(measured, found, ref.apply_preference(expected, inputs))
        check_plain_clip(judge, options, index, (text, vision, projection), inputs)


def preference_folder(judge, name, model):
    folder = judge.path(name)
    ref.save_preference(model, folder)
    (folder / "model.safetensors").unlink()
    return folder


def check_plain_clip(judge, options, index, shape, inputs):
    """A CLIP that was never told a timestep: its own scores, whatever the timestep."""
    text, vision, projection = shape
    config = transformers.CLIPConfig(
        text_config=text, vision_config=vision, projection_dim=projection)
    model = ref.randomize(transformers.CLIPModel(config), 77 + index)
    state = model.state_dict()
    state |= {"text_model.embeddings.position_ids": torch.arange(77)[None],
              "vision_model.embeddings.position_ids": torch.arange(50)[None]}
    forms = {
        "bin": lambda folder: torch.save(state, folder / "pytorch_model.bin"),
        "bin in shards": lambda folder: torch_shards(
            state, folder, "pytorch_model", "bin.index.json"),
        "safetensors": lambda folder: save_file(
            {k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors"),
        # The last one, since it rounds the model.
        "half bin": lambda folder: torch.save(
            {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
            folder / "pytorch_model.bin"),
    }
    for title, write in forms.items():
        name = f"preference CLIP {title} {index}"
        if not judge.wanted(name):
            continue
        with judge.case(name) as measured:
            folder = preference_folder(judge, name, ref.build_preference(0, *shape))
            write(folder)
            if "half" in title:
                model.half().float()
            pixels = ref.scoring_pixels(inputs["image"], config.vision_config.image_size)
            with torch.no_grad():
                logits = model(input_ids=inputs["input_ids"], pixel_values=pixels).logits_per_image
            found = parity.apply(judge, name, "preference", inputs)
            parity.compare(measured, found, {"score": logits.diagonal()})
            if index == 0 and title == "bin":
                loss = parity.apply(judge, name, "spm.loss", {
                    "input_ids": inputs["input_ids"], "timestep": inputs["timestep"],
                } | parity.spm_inputs(parity.Shapes("loss"), 3, 24))
                if not any("t_embedder" in key for key in loss):
                    raise Failure("what the model lacked is not trained")


# ---------------------------------------------------------------------------------------------
# LoRA files: who reads what, by each reader's own rule


def webui_module(key):
    """The module of Stability's code that the webui takes a key's for, by its rule of three layers."""
    stem = key.split(".", 1)[0]
    if match := re.match(r"lora_unet_down_blocks_(\d+)_attentions_(\d+)_(.+)", stem):
        level, layer, rest = match.groups()
        return f"diffusion_model_input_blocks_{1 + 3 * int(level) + int(layer)}_1_{rest}"
    if match := re.match(r"lora_unet_mid_block_attentions_0_(.+)", stem):
        return f"diffusion_model_middle_block_1_{match[1]}"
    if match := re.match(r"lora_unet_up_blocks_(\d+)_attentions_(\d+)_(.+)", stem):
        level, layer, rest = match.groups()
        return f"diffusion_model_output_blocks_{3 * int(level) + int(layer)}_1_{rest}"
    return stem.replace("lora_unet", "diffusion_model", 1)


def lora_unet(family):
    """A U-Net whose blocks are laid out as in the published models, small."""
    if family == "sd15":
        return ref.build_unet(
            4, sample_size=8, block_out_channels=(8, 16, 16, 16), layers_per_block=2,
            norm_num_groups=4, attention_head_dim=4, cross_attention_dim=12,
            down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3)
    return ref.build_unet(
        5, sample_size=8, block_out_channels=(8, 16, 16), layers_per_block=2, norm_num_groups=4,
        attention_head_dim=[2, 4, 4], cross_attention_dim=12,
        transformer_layers_per_block=[1, 2, 10], use_linear_projection=True,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=14 + 48)


def check_lora(judge, options):
    original = original_layout()
    for family, pairs_count, targets in (
            ("sd15", 128, ["lora", "lora peft", "webui", "webui sgm"]),
            ("sdxl", 560, ["lora", "lora peft", "webui", "webui diffusers"])):
        if not judge.wanted(f"lora {family}"):
            continue
        unet = lora_unet(family)
        folder = judge.path(f"lora {family}")
        unet.save_pretrained(folder / "unet")
        levels = len(unet.config.block_out_channels)
        modules = {
            key.removeprefix("model.").removesuffix(".weight").replace(".", "_")
            for key in original.original_unet(unet.state_dict(), 2, levels)}
        pairs = ref.random_lora(unet, 3, 8)
        if len(pairs) != pairs_count:
            raise AssertionError(f"{len(pairs)} modules")
        inputs = {
            "sample": ref.normal(1, 2, 4, 8, 8), "timestep": torch.tensor([3, 731]),
            "encoder_hidden_states": ref.normal(2, 2, 7, 12),
        } | ({} if family == "sd15" else {
            "text_embeds": ref.normal(3, 2, 14), "time_ids": torch.ones(2, 6)})
        expected = None
        for given, weights in lora_forms(pairs, original, unet, levels).items():
            with judge.case(f"lora {family} reads {given}") as measured:
                file = judge.path(f"lora {family}", f"{given}.safetensors")
                save_file(weights[0], file, metadata=weights[1])
                found = parity.apply(judge, f"lora {family}", "unet", inputs, "--lora", file)
                if expected is None:
                    expected = ref.apply_unet(ref.load_lora(lora_unet(family), file), inputs)
                parity.compare(measured, found, expected)
        for target in targets:
            with judge.case(f"lora {family} writes {target}") as measured:
                form, _, keys = target.partition(" ")
                written = judge.path(f"lora {family}", f"written {target}.safetensors")
                judge.run("export", "--model", folder, "--lora", file, "--to", form, "--out",
                          written, *(["--lora-keys", keys] if keys else []))
                check_written(written, family, target, pairs, modules)
                loaded = ref.load_lora(lora_unet(family), written)
                found = {"sample": ref.apply_unet(loaded, inputs)["sample"]}
                parity.compare(measured, found, expected)
                # What each pair adds to its weight; modules by number where names differ.
                added = {key: 0.5 * (b @ a) for key, (a, b) in pairs.items()}
                if form == "webui":
                    added = {webui_module(f"lora_unet_{key.replace('.', '_')}"): value
                             for key, value in added.items()}
                parity.compare(measured, deltas(load_file(written), target), added)


def lora_forms(pairs, original, unet, levels):
    """The same LoRA, of alpha half its rank, in every form; {name: (tensors, metadata)}."""
    rank = 3
    half = {key: (down, 0.5 * up) for key, (down, up) in pairs.items()}
    alphas = {key: 0.5 * rank for key in pairs}
    kohya = ref.lora_weights(pairs, "kohya", alphas)
    names = original.original_unet(
        {f"{key}.weight": torch.zeros(1) for key in pairs}, 2, levels)
    sgm = {key.removesuffix(".weight").replace(".", "_"):
           name.removeprefix(original.UNET).removesuffix(".weight").replace(".", "_")
           for key, name in zip((f"{key}.weight" for key in pairs), names)}
    in_sgm = {}
    for key, value in kohya.items():
        stem, _, tail = key.removeprefix("lora_unet_").partition(".")
        in_sgm[f"lora_unet_{sgm[stem]}.{tail}"] = value
    config = {"unet.r": rank, "unet.lora_alpha": 0.5 * rank, "unet.peft_type": "LORA"}
    patterned = {"unet.r": rank, "unet.lora_alpha": rank,
                 "unet.alpha_pattern": {key: 0.5 * rank for key in pairs}}
    plain = {"format": "pt"}
    def described(json_object):
        return plain | {"lora_adapter_metadata": json.dumps(json_object)}
    default = {key.replace(".lora_A.", ".lora_A.default.").replace(".lora_B.", ".lora_B.default."):
               value for key, value in ref.lora_weights(half, "adapter").items()}
    return {
        "diffusers": (ref.lora_weights(half, "diffusers"), plain),
        "diffusers without metadata": (ref.lora_weights(half, "diffusers"), None),
        "diffusers in bare names": (
            {key.removeprefix("unet."): value
             for key, value in ref.lora_weights(half, "diffusers").items()}, plain),
        "diffusers with alpha in the header": (
            ref.lora_weights(pairs, "peft"), described(config)),
        "alpha by module in the header": (ref.lora_weights(pairs, "peft"), described(patterned)),
        "alpha scaled by the root of the rank": (
            ref.lora_weights(pairs, "peft"),
            described(config | {"unet.lora_alpha": 0.5 * rank**0.5, "unet.use_rslora": True})),
        "PEFT": (ref.lora_weights(half, "peft"), plain),
        "PEFT adapter": (ref.lora_weights(half, "adapter"), plain),
        "PEFT adapter by name": (default, plain),
        "processor": (ref.lora_weights(half, "processor"), plain),
        "kohya": (kohya, plain),
        "kohya without alpha": (ref.lora_weights(half, "kohya"), None),
        "kohya in sgm names": (in_sgm, plain),
        "kohya with alpha of shape [1]": (
            {key: value.reshape(1) if key.endswith("alpha") else value
             for key, value in kohya.items()}, plain),
    }


def check_written(file, family, target, pairs, modules):
    weights = load_file(file)
    factor = 3 if target.startswith("webui") else 2
    if len(weights) != factor * len(pairs):
        raise Failure(f"{len(weights)} tensors instead of {factor * len(pairs)}")
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    if not target.startswith("webui"):
        if metadata != {"format": "pt"}:
            raise Failure(f"metadata {metadata}")
        if not all(key.startswith("unet.") and "lora" in key for key in weights):
            raise Failure("keys that diffusers does not take for a LoRA of the U-Net")
        return
    unknown = [key for key in weights if webui_module(key) not in modules]
    if unknown:
        raise Failure(f"the webui matches {len(unknown)} keys to no module, such as {unknown[0]}")
    sgm = any("input_blocks" in key for key in weights)
    if sgm != (target == "webui sgm" or (family, target) == ("sdxl", "webui")):
        raise Failure("the other naming scheme")
    # kohya's scripts train Stable Diffusion 1 in diffusers' names and SDXL in sgm's.
    version = metadata["ss_base_model_version"]
    listed = "SDXL" if version.startswith("sdxl_") else (
        "SD2" if metadata["ss_v2"] == "True" else "SD1")
    if listed != {"sd15": "SD1", "sdxl": "SDXL"}[family]:
        raise Failure(f"the webui would list it under {listed}")
    architecture = {"sd15": "stable-diffusion-v1/lora",
                    "sdxl": "stable-diffusion-xl-v1-base/lora"}[family]
    data = file.read_bytes()
    digest = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little"):]).hexdigest()
    expected = {
        "ss_network_dim": "3", "ss_network_alpha": "3", "ss_network_module": "networks.lora",
        "modelspec.architecture": architecture, "modelspec.sai_model_spec": "1.0.1",
        "sshs_model_hash": digest, "modelspec.hash_sha256": f"0x{digest}",
    }
    for key, value in expected.items():
        if metadata.get(key) != value:
            raise Failure(f"{key} is {metadata.get(key)!r} instead of {value!r}")


def deltas(weights, target):
    found = {}
    for key in weights:
        if target.startswith("webui"):
            if not key.endswith(".lora_down.weight"):
                continue
            stem = key.removesuffix(".lora_down.weight")
            down, up = weights[key], weights[f"{stem}.lora_up.weight"]
            found[webui_module(stem)] = (up @ down) * weights[f"{stem}.alpha"] / len(down)
        elif key.endswith((".lora.down.weight", ".lora_A.weight")):
            other = key.replace("lora.down", "lora.up").replace("lora_A", "lora_B")
            stem = key.removeprefix("unet.").removesuffix(".weight")
            found[stem.removesuffix(".lora.down").removesuffix(".lora_A")] = (
                weights[other] @ weights[key])
    return found


def check_text_lora(judge, options):
    """LoRA files that adapt the text encoders as well: the picture of diffusers' pipeline."""
    folder = parity.pipeline_folder(judge, parity.Shapes(f"{options.seed} text lora"))
    for form in ("diffusers", "kohya"):
        name = f"text lora {form}"
        if not judge.wanted(name):
            continue
        with judge.case(name) as measured:
            pipeline = ref.load_pipeline(folder)
            pairs = ref.random_lora(pipeline.unet, 2, 4)
            weights = ref.lora_weights(pairs, form, None if form == "diffusers" else {
                key: 2 for key in pairs})
            for key, module in pipeline.text_encoder.named_modules():
                if not key.endswith(("q_proj", "k_proj", "v_proj", "out_proj")):
                    continue
                down = ref.normal(len(key), 2, module.in_features)
                up = 0.3 * ref.normal(len(key) + 1, module.out_features, 2)
                stem = key if key.startswith("text_model.") else f"text_model.{key}"
                if form == "diffusers":
                    stem = f"text_encoder.{stem}.lora_linear_layer"
                    weights |= {f"{stem}.down.weight": down, f"{stem}.up.weight": up}
                else:
                    stem = f"lora_te_{stem.replace('.', '_')}"
                    weights |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up,
                                f"{stem}.alpha": torch.tensor(2.0)}
            file = judge.path(name, "lora.safetensors")
            save_file(weights, file, metadata={"format": "pt"})
            settings = dict(prompt="a red circle", seed=3, steps=5, guidance=4.0, size=(64, 64))
            plain = ref.sample_picture(pipeline, **settings)
            pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
            expected = ref.sample_picture(pipeline, **settings)
            if abs(expected - plain).mean() < 0.02:
                raise Failure("the LoRA changes too little to judge anything")
            arguments = [*parity.picture_arguments(settings), "--lora", file]
            parity.compare_pictures(judge, measured, name, folder, arguments, expected)


# ---------------------------------------------------------------------------------------------
# Pipelines of such files


WORLD = ROOT / "data"


def write_pipeline(judge, name, stages, **shared):
    path = judge.path(name, "pipeline.json5")
    path.write_text(json.dumps(
        {"workspace": str(judge.path(name, "workspace")), "stages": stages} | shared))
    return path


def world_rows(judge, count=6):
    """A few comparisons of the repository's sample."""
    import pyarrow.parquet as parquet
    folder = judge.path("comparisons")
    folder.mkdir(exist_ok=True)
    tables = {}
    for file in sorted((WORLD / "pickapic-sample/data").glob("*.parquet")):
        table = parquet.read_table(file).slice(0, count)
        parquet.write_table(table, folder / file.name)
        tables[file.name.split("-")[0]] = table
    return folder, tables


def check_labels(judge, options):
    """Labels by the scores of a CLIP model, against transformers' processor and model."""
    if not judge.wanted("labels"):
        return
    folder, tables = world_rows(judge, 24)
    config = json.loads((WORLD / "tiny-preference/config.json").read_text())
    model = ref.randomize(transformers.CLIPModel(transformers.CLIPConfig(**config)), 6)
    with torch.no_grad():
        model.logit_scale.fill_(1.5)  # of probabilities on both sides of the gap
    scorer = judge.path("labels", "scorer")
    model.save_pretrained(scorer)
    side = config["vision_config"]["image_size"]
    (scorer / "preprocessor_config.json").write_text(json.dumps(
        ref.PREPROCESSOR | {"crop_size": side, "size": {"shortest_edge": side}}))
    tokenizer = transformers.CLIPTokenizer.from_pretrained(WORLD / "tiny-sd/tokenizer")
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    path = write_pipeline(
        judge, "labels", {
            "ingest": {"source": f"{folder}/*.parquet"}, "encode": {},
            "label": {"scorer": str(scorer)}, "shard": {"labels": "model"}},
        model=str(WORLD / "tiny-sd"))
    with judge.case("labels of a model"):
        judge.run("run", path, "--quiet")
        found = shard_labels(judge.path("labels", "workspace", "shards"))
        ties = 0
        for split, table in tables.items():
            expected = []
            for row in table.to_pylist():
                images = [Image.open(io.BytesIO(row[f"jpg_{i}"])).convert("RGB") for i in (0, 1)]
                ids = tokenizer([row["caption"]], padding="max_length", truncation=True,
                                max_length=24, return_tensors="pt").input_ids
                with torch.no_grad():
                    scores = model(input_ids=ids, pixel_values=processor(
                        images, return_tensors="pt").pixel_values).logits_per_text[0]
                gap = float(scores.softmax(0) @ torch.tensor([1.0, -1.0]))
                if abs(abs(gap) - 0.1) < 0.003:
                    continue  # embeddings are kept in half precision
                expected.append((row["caption"], 1.0 if gap > 0.1 else 0.0 if gap < -0.1 else 0.5))
                ties += abs(gap) <= 0.1
            wrong = [pair for pair in set(expected)
                     if found[split].count(pair) < expected.count(pair)]
            if wrong or not expected:
                raise Failure(f"{split}: {len(wrong)} labels differ: {wrong[:2]}")
        if not ties:
            raise AssertionError("no tie among them judges nothing")


def shard_labels(folder):
    """(prompt, first label) of all pairs, by split."""
    found = {}
    for shard in json.loads((folder / "index.json").read_text())["shards"]:
        tensors = load_file(folder / shard["file"])
        text, cuts = bytes(tensors["prompt_text"].tolist()), tensors["prompt_text_offsets"].tolist()
        prompts = [text[a:b].decode() for a, b in zip(cuts, cuts[1:])]
        found.setdefault(shard["split"], []).extend(
            (prompts[prompt], float(labels[0]))
            for prompt, labels in zip(tensors["pair_prompt"].tolist(), tensors["labels"]))
    return found


def check_given_preference(judge, options):
    """A published preference model and a list of prompts: no comparisons, no training of a judge."""
    if not judge.wanted("given preference"):
        return
    config = json.loads((WORLD / "tiny-preference/config.json").read_text())
    model = ref.build_preference(
        3, config["text_config"], config["vision_config"], config["projection_dim"])
    folder = preference_folder(judge, "given preference", model)
    torch.save({f"model.{key}": value.detach() for key, value in model.named_parameters()},
               folder / "sd-step-aware.bin")
    prompts = judge.path("given preference", "prompts.json")
    prompts.write_text((WORLD / "tuning-prompts.json").read_text())
    shown = judge.path("given preference", "shown.json")
    shown.write_text(json.dumps([{"caption": "a red circle in the middle , light background"}]))
    path = write_pipeline(
        judge, "given preference", {
            "ingest": {"source": str(prompts)}, "encode": {}, "shard": {},
            "spo": {"preference": str(folder / "sd-step-aware.bin"), "only_listed": True,
                    "iterations": 1, "batch": 1, "sampling_steps": 4, "divert_step": 2,
                    "candidates": 2, "threshold": 0, "pictures": 1},
            "export": {}, "report": {"prompts": str(shown), "sampling_steps": 2,
                                     "pictures_per_prompt": 1}},
        model=str(WORLD / "tiny-sd"))
    with judge.case("given preference model, prompts alone"):
        judge.run("run", path, "--quiet")
        workspace = judge.path("given preference", "workspace")
        if not (workspace / "report" / "index.html").exists():
            raise Failure("no report")
        lora = load_file(workspace / "export" / "pytorch_lora_weights.safetensors")
        if not any(value.abs().max() > 0 for key, value in lora.items() if ".up." in key):
            raise Failure("the LoRA is as it was drawn")
    with judge.case("given preference model, changed"):
        torch.save({f"model.{key}": value.detach() * 1.01 for key, value in
                    model.named_parameters()}, folder / "sd-step-aware.bin")
        states = {row["stage"]: row["state"] for row in json.loads(
            judge.run("status", path, "--json"))["stages"]}
        if states["spo"] != "stale" or states["shard"] != "done":
            raise Failure(f"{states}")


if __name__ == "__main__":
    print(f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    harness.main(
        __doc__.splitlines()[0], [check_single_files, check_weights, check_preference, check_lora, check_text_lora, check_labels,
         check_given_preference],
        count=dict(type=int, default=2, help="cases of each kind"),
        seed=dict(default="0", help="another seed gives other shapes and weights"))
