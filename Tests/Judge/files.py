"""Judges what the program makes of files as people have them, against diffusers and transformers.

Usage: python Tests/Judge/files.py [--program .build/release/spo] [--count 2] [--seed 0]
                                   [--only single] [--keep DIR]

Whole models in one file of the original layout, weights of torch, variants, indices, LoRA files of every
spelling, published preference models: each is made from random weights, read by `spo`, and compared with
what the libraries make of the same weights (1e-4). What `spo` writes is loaded by them, without a missing
or an unexpected key.
"""

import importlib.util
import json
import os
import shutil

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import torch
import transformers
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


if __name__ == "__main__":
    print(f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    harness.main(
        __doc__.splitlines()[0], [check_single_files],
        count=dict(type=int, default=2, help="cases of each kind"),
        seed=dict(default="0", help="another seed gives other shapes and weights"))
