"""Checks the built program against diffusers, transformers and PyTorch on random models.

Usage: python Tests/Reference/parity.py [--program .build/release/spo] [--count 6] [--seed 0]
                                    [--only unet --only spo.loss] [--keep DIR]

Every case makes a model folder of a random shape with random weights, runs `spo`, and compares:
max|a - b| / max|b| at most 1e-4 for outputs and 1e-3 for gradients.
"""

import json
import math
import os
import random
import unicodedata

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import harness
import reference as ref
from harness import Failure

OUTPUT, GRADIENT, EXPORTED = 1e-4, 1e-3, 1e-3


def relative_error(found, expected, floor=0.0):
    found, expected = found.detach(), expected.detach()
    if found.shape != expected.shape:
        raise Failure(f"shape {tuple(found.shape)} instead of {tuple(expected.shape)}")
    if not torch.isfinite(found).all():
        raise Failure("not finite")
    greatest = max(float(expected.abs().max()), floor, 1e-30)
    return float((found.double() - expected.double()).abs().max()) / greatest


def compare(measured, found, expected):
    """Outputs one by one, then gradients; those that are zero but for rounding against the rest."""
    if set(found) != set(expected):
        raise Failure(
            f"lacks {sorted(set(expected) - set(found))[:4]}, "
            f"has too much {sorted(set(found) - set(expected))[:4]}")
    gradients = [value for name, value in expected.items() if name.startswith("grad.")]
    floor = 1e-3 * max((float(value.abs().max()) for value in gradients), default=0)
    for name, value in expected.items():
        gradient = name.startswith("grad.")
        try:
            error = relative_error(found[name], value, floor if gradient else 0)
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
        measured.append((error, GRADIENT if gradient else OUTPUT))


def apply(judge, folder, op, inputs, *arguments, model=None):
    given, result = judge.path(folder, f"{op}.inputs"), judge.path(folder, f"{op}.outputs")
    save_file({name: value.contiguous() for name, value in inputs.items()}, given)
    judge.run("apply", op, "--model", model or judge.path(folder), "--inputs", given,
              "--outputs", result, *arguments)
    return load_file(result)


# ---------------------------------------------------------------------------------------------
# Random shapes


class Shapes:
    """Random configurations; the first of each kind are small, the last are wide."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *choices):
        return self.random.choice(choices)

    def seed(self):
        return self.random.randrange(1 << 30)

    def widths(self, levels, groups, heads, wide):
        unit = math.lcm(groups, *heads)
        least = (48 if wide else 6) // unit + 1
        widths = [unit * self.random.randint(least, least + 2) for _ in range(levels)]
        return tuple(sorted(widths)) if self.random.random() < 0.7 else tuple(widths)

    def unet(self, wide=False, sdxl=False):
        levels = self.pick(2, 2, 3, 4)
        groups = self.pick(2, 3, 4, 8)
        heads = [self.pick(1, 2, 4) for _ in range(levels)]
        if not sdxl and self.pick(True, False):
            heads = heads[:1] * levels
        crossed = [self.pick(True, False) for _ in range(levels)]
        crossed[self.random.randrange(levels)] = True
        up = list(reversed(crossed)) if sdxl else [self.pick(True, False) for _ in range(levels)]
        config = dict(
            sample_size=8, layers_per_block=self.pick(1, 2), norm_num_groups=groups,
            block_out_channels=self.widths(levels, groups, heads, wide),
            down_block_types=[ref_block("Down", flag) for flag in crossed],
            up_block_types=[ref_block("Up", flag) for flag in up],
            cross_attention_dim=self.pick(5, 12, 20, 64),
            attention_head_dim=heads[0] if len(set(heads)) == 1 else heads,
            flip_sin_to_cos=self.pick(True, True, False), freq_shift=self.pick(0, 0, 1),
            use_linear_projection=sdxl or self.pick(True, False),
            norm_eps=self.pick(1e-5, 1e-6))
        if sdxl:
            config |= dict(
                transformer_layers_per_block=[self.pick(1, 2, 3) for _ in range(levels)],
                addition_embed_type="text_time", addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=14 + 48)
        return config

    def unet_inputs(self, config, batch=None):
        batch = batch or self.pick(1, 2, 3)
        size = self.pick((8, 8), (5, 7), (16, 4), (9, 12), (1, 3), (16, 16))
        length = self.pick(1, 7, 77)
        seed = self.seed()
        inputs = {
            "sample": ref.normal(seed, batch, 4, *size),
            "timestep": torch.tensor([self.random.randrange(1000) for _ in range(batch)]),
            "encoder_hidden_states": ref.normal(
                seed + 1, batch, length, config["cross_attention_dim"]),
        }
        if "addition_embed_type" in config:
            inputs["text_embeds"] = ref.normal(seed + 2, batch, 14)
            inputs["time_ids"] = torch.tensor([[512.0, 768, 0, 3, 1024, 1024]] * batch)
        return inputs

    def vae(self, wide=False):
        levels = self.pick(1, 2, 3)
        groups = self.pick(2, 3, 4)
        quantized = self.pick(True, True, False)
        return dict(
            down_block_types=["DownEncoderBlock2D"] * levels,
            up_block_types=["UpDecoderBlock2D"] * levels,
            block_out_channels=self.widths(levels, groups, [1], wide), norm_num_groups=groups,
            layers_per_block=self.pick(1, 2), latent_channels=self.pick(4, 4, 3),
            mid_block_add_attention=self.pick(True, True, False), use_quant_conv=quantized,
            use_post_quant_conv=quantized)

    def text(self, wide=False, **fixed):
        heads = self.pick(1, 2, 4)
        vocabulary = self.pick(24, 50, 300)
        eos = self.pick(2, vocabulary - 1)
        config = dict(
            vocab_size=vocabulary, hidden_size=heads * (self.pick(16, 24) if wide else self.pick(3, 5)),
            intermediate_size=self.pick(10, 33, 128), num_hidden_layers=self.pick(1, 2, 4),
            num_attention_heads=heads, max_position_embeddings=self.pick(77, 77, 24),
            hidden_act=self.pick("quick_gelu", "gelu"), bos_token_id=vocabulary - 2,
            eos_token_id=eos, pad_token_id=self.pick(0, vocabulary - 1),
            projection_dim=self.pick(6, 17), layer_norm_eps=self.pick(1e-5, 1e-6))
        return config | fixed

    def token_ids(self, config, batch):
        """Words between the two last ids of the vocabulary, padded with the padding id."""
        length, vocabulary = config["max_position_embeddings"], config["vocab_size"]
        rows = []
        for _ in range(batch):
            words = [self.random.randrange(vocabulary - 2)
                     for _ in range(self.random.randrange(length - 1))]
            row = [vocabulary - 2, *words, vocabulary - 1]
            rows.append(row + [config["pad_token_id"]] * (length - len(row)))
        return torch.tensor(rows)

    def preference(self, wide=False):
        heads, patch = self.pick(1, 2, 4), self.pick(4, 5, 8)
        vision = dict(
            hidden_size=heads * (16 if wide else self.pick(4, 6)), num_attention_heads=heads,
            intermediate_size=self.pick(16, 40), num_hidden_layers=self.pick(1, 2, 3),
            image_size=patch * self.pick(2, 3, 7), patch_size=patch,
            hidden_act=self.pick("quick_gelu", "gelu"))
        return self.text(wide), vision, self.pick(8, 15)


def ref_block(direction, crossed):
    return f"CrossAttn{direction}Block2D" if crossed else f"{direction}Block2D"


def shapes_for(options, kind):
    """(index, Shapes, wide) for each case of a kind; the last third is wide."""
    for index in range(options.count):
        yield index, Shapes(f"{options.seed} {kind} {index}"), index >= options.count * 2 // 3


# ---------------------------------------------------------------------------------------------
# One check a kind


def check_text_encoders(judge, options):
    for part in ("text_encoder", "text_encoder_2"):
        for index, shapes, wide in shapes_for(options, part):
            name = f"{part} {index}"
            if not judge.wanted(name):
                continue
            with judge.case(name) as measured:
                config = shapes.text(wide)
                model = ref.build_text_encoder(shapes.seed(), part == "text_encoder_2", **config)
                ref.save_model(model, judge.path(name, part), half=shapes.pick(True, False))
                inputs = {"input_ids": shapes.token_ids(config, shapes.pick(1, 3))}
                compare(measured, apply(judge, name, part, inputs),
                        ref.apply_text_encoder(model, inputs))


def check_unet(judge, options):
    for kind in ("unet", "unet sdxl"):
        for index, shapes, wide in shapes_for(options, kind):
            name = f"{kind} {index}"
            if not judge.wanted(name):
                continue
            with judge.case(name) as measured:
                config = shapes.unet(wide, sdxl=kind == "unet sdxl")
                unet = ref.build_unet(shapes.seed(), **config)
                ref.save_model(unet, judge.path(name, "unet"), half=shapes.pick(True, False))
                inputs = shapes.unet_inputs(config)
                compare(measured, apply(judge, name, "unet", inputs), ref.apply_unet(unet, inputs))


def check_lora(judge, options):
    forms = ["diffusers", "peft", "processor", "kohya", "kohya alpha"]
    for index, form in enumerate(forms):
        name = f"lora {form}"
        if not judge.wanted(name):
            continue
        shapes = Shapes(f"{options.seed} {name}")
        with judge.case(name) as measured:
            config = shapes.unet(sdxl=index == 0)
            unet = ref.build_unet(shapes.seed(), **config)
            ref.save_model(unet, judge.path(name, "unet"))
            file, _ = random_lora_file(judge, name, unet, form, shapes)
            inputs = shapes.unet_inputs(config)
            found = apply(judge, name, "unet", inputs, "--lora", file)
            compare(measured, found, ref.apply_unet(ref.load_lora(unet, file), inputs))


def random_lora_file(judge, name, unet, form, shapes, dtype=torch.float32, size=0.3):
    rank = shapes.pick(1, 2, 4)
    pairs = ref.random_lora(unet, rank, shapes.seed(), size)
    alphas = {module: 0.5 * rank for module in pairs} if form == "kohya alpha" else None
    weights = ref.lora_weights(pairs, form.split()[0], alphas)
    file = judge.path(name, "lora.safetensors")
    save_file({key: value.to(dtype) for key, value in weights.items()}, file,
              metadata={"format": "pt"})
    return file, pairs


def check_vae(judge, options):
    for index, shapes, wide in shapes_for(options, "vae"):
        config, seed = shapes.vae(wide), shapes.seed()
        name = f"vae {index}"
        if not judge.wanted(name):
            continue
        vae = ref.build_vae(seed, **config)
        ref.save_model(vae, judge.path(name, "vae"), half=shapes.pick(True, False))
        batch = shapes.pick(1, 3)
        # An encoder level halves with a one-sided border: below two pixels it has nothing to read.
        height, width = shapes.pick((16, 16), (8, 24), (13, 18), (9, 11))
        inputs = {"image": ref.normal(seed, batch, 3, height, width).clamp(-1, 1)}
        with judge.case(f"{name} encode {height}x{width}") as measured:
            compare(measured, apply(judge, name, "vae.encode", inputs),
                    ref.apply_vae_encode(vae, inputs))
        height, width = shapes.pick((4, 4), (1, 5), (7, 3))
        inputs = {"latents": ref.normal(seed, batch, config["latent_channels"], height, width)}
        with judge.case(f"{name} decode {height}x{width}") as measured:
            compare(measured, apply(judge, name, "vae.decode", inputs),
                    ref.apply_vae_decode(vae, inputs))


def check_preference(judge, options):
    for index, shapes, wide in shapes_for(options, "preference"):
        name = f"preference {index}"
        loss_name = f"spm.loss {index}"
        if not judge.wanted(name) and not judge.wanted(loss_name):
            continue
        text, vision, projection = shapes.preference(wide)
        model = ref.build_preference(shapes.seed(), text, vision, projection)
        side = vision["image_size"]
        size = shapes.pick(side, {"shortest_edge": side})
        ref.save_preference(model, judge.path(name), half=shapes.pick(True, False), size=size)
        batch, seed = shapes.pick(1, 4), shapes.seed()
        height, width = shapes.pick((side, side), (64, 64), (33, 47), (20, 61), (50, 13))
        shared = {
            "input_ids": shapes.token_ids(text, batch),
            "timestep": torch.tensor([shapes.random.randrange(1000) for _ in range(batch)]),
        }
        if judge.wanted(name):
            with judge.case(f"{name} {height}x{width}") as measured:
                image = ref.normal(seed, batch, 3, height, width).clamp(-1, 1)
                inputs = shared | {"image": image}
                compare(measured, apply(judge, name, "preference", inputs),
                        ref.apply_preference(model, inputs))
        if judge.wanted(loss_name):
            with judge.case(loss_name) as measured:
                inputs = shared | spm_inputs(shapes, batch, shapes.pick(side, 24, 64))
                found = apply(judge, name, "spm.loss", inputs)
                # In single precision the reference's own gradients are off by more than 1e-3 at times.
                model.double()
                compare(measured, found, with_gradients(
                    ref.apply_spm_loss(model, in_double(inputs)), dict(model.named_parameters())))


def spm_inputs(shapes, batch, side):
    label = torch.tensor([shapes.pick(0.0, 0.5, 1.0) for _ in range(batch)])
    source = ref.generator(shapes.seed())
    return {
        "image_0": torch.rand((batch, 3, side, side), generator=source),
        "image_1": torch.rand((batch, 3, side, side), generator=source),
        "label_0": label,
        "label_1": 1 - label,
        "examples_per_prompt": torch.tensor([float(shapes.pick(1, 2, 9)) for _ in range(batch)]),
    }


def with_gradients(outputs, named):
    found = ref.gradients(outputs, {"loss": torch.ones(())}, named)
    return outputs | {f"grad.{key}": value for key, value in found.items()}


def check_ddim(judge, options):
    kinds = ["epsilon", "v_prediction", "sample"]
    for index, shapes, _ in shapes_for(options, "ddim"):
        name = f"ddim {index}"
        if not judge.wanted(name):
            continue
        with judge.case(name) as measured:
            scheduler = ref.scheduler(
                prediction_type=kinds[index % 3], clip_sample=index % 2 == 1,
                clip_sample_range=shapes.pick(1.0, 0.7),
                beta_schedule=shapes.pick("scaled_linear", "linear", "squaredcos_cap_v2"),
                rescale_betas_zero_snr=False)
            scheduler.save_pretrained(judge.path(name, "scheduler"))
            steps, eta = shapes.pick(10, 20, 50), shapes.pick(1.0, 0.5)
            batch, seed = shapes.pick(1, 4), shapes.seed()
            inputs = {
                part: ref.normal(seed + i, batch, 4, 6, 5)
                for i, part in enumerate(("model_output", "sample", "noise"))
            }
            inputs["timestep"] = torch.tensor(
                [shapes.random.randrange(1, 1000) for _ in range(batch)])
            found = apply(judge, name, "ddim", inputs, "--steps", steps, "--eta", eta)
            compare(measured, found, ref.apply_ddim(scheduler, inputs, steps, eta))


def check_spo_loss(judge, options):
    forms = ["diffusers", "peft", "kohya alpha"]
    kinds = [(kind, *case) for kind in ("spo.loss", "spo.loss sdxl")
             for case in shapes_for(options, kind)]
    for kind, index, shapes, wide in kinds:
        name = f"{kind} {index}"
        if not judge.wanted(name):
            continue
        with judge.case(name) as measured:
            config = shapes.unet(wide, sdxl=kind == "spo.loss sdxl")
            unet = ref.build_unet(shapes.seed(), **config)
            ref.save_model(unet, judge.path(name, "unet"), half=shapes.pick(True, False))
            scheduler = ref.scheduler(prediction_type=shapes.pick("epsilon", "v_prediction"))
            scheduler.save_pretrained(judge.path(name, "scheduler"))
            form = forms[index % 3]
            file, _ = random_lora_file(judge, name, unet, form, shapes, size=0.05)
            settings = dict(
                guidance=shapes.pick(5.0, 1.0, 7.5), beta=shapes.pick(10.0, 500.0),
                clip=shapes.pick(0.1, 0.3), eta=shapes.pick(1.0, 0.6), steps=shapes.pick(20, 10))
            inputs = spo_inputs(unet, scheduler, config, settings, shapes)
            arguments = [part for key, value in settings.items() for part in (f"--{key}", value)]
            found = apply(judge, name, "spo.loss", inputs, "--lora", file, *arguments)
            ref.load_lora(unet, file)
            outputs = ref.apply_spo_loss(unet, scheduler, inputs, **settings)
            compare(measured, found, with_gradients(
                outputs, ref.lora_parameters(unet, form.split()[0])))


@torch.no_grad()
def spo_inputs(unet, scheduler, config, settings, shapes):
    """Two next samples near the untuned model's own, so that not every ratio is clamped."""
    drawn = shapes.unet_inputs(config, batch=4)
    channels, seed = config["cross_attention_dim"], shapes.seed()
    length = drawn["encoder_hidden_states"].shape[1]
    inputs = {
        "latents": drawn["sample"],
        "timestep": torch.tensor([951, shapes.random.randrange(100, 900), 51, 1]),
        "encoder_hidden_states": drawn["encoder_hidden_states"],
        "negative_hidden_states": ref.normal(seed, 1, length, channels),
    }
    for name in ("text_embeds", "time_ids"):
        if name in drawn:
            inputs[name] = drawn[name]
            inputs[f"negative_{name}"] = drawn[name][:1] * 0.9
    noise = ref.guided_noise(unet, inputs, settings["guidance"])
    mean, sigma, _ = ref.ddim_step(
        scheduler, noise, inputs["latents"], inputs["timestep"], settings["steps"],
        settings["eta"])
    shape = (4, 2, *inputs["latents"].shape[1:])
    inputs["next_latents"] = mean[:, None] + sigma[:, None] * ref.normal(seed + 1, *shape)
    return inputs


def check_dpo_loss(judge, options):
    forms = ["diffusers", "peft", "kohya alpha"]
    kinds = [(kind, *case) for kind in ("dpo.loss", "dpo.loss sdxl")
             for case in shapes_for(options, kind)]
    for kind, index, shapes, wide in kinds:
        name = f"{kind} {index}"
        if not judge.wanted(name):
            continue
        with judge.case(name) as measured:
            config = shapes.unet(wide, sdxl=kind == "dpo.loss sdxl")
            unet = ref.build_unet(shapes.seed(), **config)
            ref.save_model(unet, judge.path(name, "unet"), half=shapes.pick(True, False))
            scheduler = ref.scheduler(prediction_type=shapes.pick("epsilon", "v_prediction"))
            scheduler.save_pretrained(judge.path(name, "scheduler"))
            form = forms[index % 3]
            file, _ = random_lora_file(judge, name, unet, form, shapes, size=0.02)
            beta = shapes.pick(5000.0, 2000.0, 100.0)
            inputs = dpo_inputs(config, shapes)
            found = apply(judge, name, "dpo.loss", inputs, "--lora", file, "--beta", beta)
            ref.load_lora(unet, file)
            named = ref.lora_parameters(unet, form.split()[0])
            single = with_gradients(ref.apply_dpo_loss(unet, scheduler, inputs, beta), named)
            exact = with_gradients(
                ref.apply_dpo_loss(unet.double(), scheduler, in_double(inputs), beta), named)
            # A small difference of two models' outputs, times beta: single precision holds few digits
            # of it: up to eight times PyTorch's own error are allowed.
            own, ours = [], []
            compare(own, single, exact)
            compare(ours, found, exact)
            measured.extend((error, max(limit, 8 * reference))
                            for (error, limit), (reference, _) in zip(ours, own))


def dpo_inputs(config, shapes):
    drawn = shapes.unet_inputs(config)
    latents, seed = drawn.pop("sample"), shapes.seed()
    return drawn | {
        "win_latents": latents,
        "lose_latents": ref.normal(seed, *latents.shape),
        "noise": ref.normal(seed + 1, *latents.shape),
    }


def in_double(tensors):
    return {name: value.double() if value.is_floating_point() else value
            for name, value in tensors.items()}


def check_files(judge, options):
    """Checkpoints as they are found: in shards, as a variant, with the old names of attention."""
    shapes = Shapes(f"{options.seed} files")
    config = shapes.unet()
    unet = ref.build_unet(shapes.seed(), **config)
    inputs = shapes.unet_inputs(config)
    if judge.wanted("files sharded"):
        with judge.case("files sharded") as measured:
            folder = judge.path("sharded", "unet")
            unet.save_pretrained(folder, max_shard_size="200KB")
            if len(list(folder.glob("*.safetensors"))) < 2:
                raise AssertionError("the model is too small to be cut")
            compare(measured, apply(judge, "sharded", "unet", inputs), ref.apply_unet(unet, inputs))
    if judge.wanted("files fp16 variant"):
        with judge.case("files fp16 variant") as measured:
            unet.half().save_pretrained(judge.path("variant", "unet"), variant="fp16")
            unet.float()
            compare(measured, apply(judge, "variant", "unet", inputs), ref.apply_unet(unet, inputs))
    if judge.wanted("files old attention names"):
        with judge.case("files old attention names") as measured:
            vae = ref.build_vae(shapes.seed(), **shapes.vae() | dict(mid_block_add_attention=True))
            folder = judge.path("old", "vae")
            vae.save_pretrained(folder)
            file = folder / "diffusion_pytorch_model.safetensors"
            names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
            weights = load_file(file)
            for new, old in names.items():
                weights = {
                    key.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): value
                    for key, value in weights.items()
                }
            save_file(weights, file, metadata={"format": "pt"})
            inputs = {"latents": ref.normal(1, 1, vae.config.latent_channels, 4, 4)}
            compare(measured, apply(judge, "old", "vae.decode", inputs),
                    ref.apply_vae_decode(vae, inputs))


def check_refusals(judge, options):
    """Inputs that are missing, too many or misshapen are refused by name."""
    if not judge.wanted("refusals"):
        return
    shapes = Shapes(f"{options.seed} refusals")
    config = shapes.unet()
    ref.save_model(ref.build_unet(1, **config), judge.path("refusals", "unet"))
    ref.scheduler().save_pretrained(judge.path("refusals", "scheduler"))
    good = shapes.unet_inputs(config, batch=2)
    noises = {name: ref.normal(1, 1, 4, 2, 2) for name in ("model_output", "sample", "noise")}
    cases = {
        "missing input": ("unet", without(good, "timestep"), ["timestep"], []),
        "extra input": ("unet", good | {"surplus": torch.ones(1)}, ["surplus"], []),
        "wrong channels": ("unet", good | {"sample": torch.ones(2, 3, 8, 8)}, ["sample"], []),
        "wrong batch": ("unet", good | {"timestep": torch.tensor([1, 2, 3])}, ["timestep"], []),
        "wrong type": ("unet", good | {"timestep": torch.tensor([1.0, 2.0])}, ["timestep"], []),
        "wrong width": (
            "unet", good | {"encoder_hidden_states": torch.ones(2, 7, 3)},
            ["encoder_hidden_states"], []),
        "no noise at eta 0": (
            "ddim", noises | {"timestep": torch.tensor([501])}, [], ["--steps", 20, "--eta", 0]),
    }
    for title, (op, inputs, mentions, arguments) in cases.items():
        with judge.case(f"refusals {title}"):
            file = judge.path("refusals", "inputs.safetensors")
            save_file({name: value.contiguous() for name, value in inputs.items()}, file)
            judge.refuse(
                "apply", op, "--model", judge.path("refusals"), "--inputs", file, "--outputs",
                judge.path("refusals", "outputs.safetensors"), *arguments, mentions=mentions)


def without(inputs, name):
    return {key: value for key, value in inputs.items() if key != name}


# ---------------------------------------------------------------------------------------------
# Pictures, exports, tokens


def pipeline_folder(judge, shapes):
    folder = judge.path("pipeline")
    if not (folder / "model_index.json").exists():
        unet = dict(
            sample_size=16, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=4)
        vae = dict(
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(4, 8, 8), layers_per_block=1, norm_num_groups=4,
            latent_channels=4, sample_size=64, scaling_factor=0.18215)
        text = dict(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=77)
        ref.save_pipeline(folder, seed=shapes.seed(), unet=unet, vae=vae, text=text)
    return folder


def pipeline_folder_xl(judge, shapes, zeros):
    folder = judge.path(f"pipeline xl {zeros}")
    if not (folder / "model_index.json").exists():
        unet = dict(
            sample_size=8, block_out_channels=(8, 16, 16), layers_per_block=1, norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=[2, 4, 4], transformer_layers_per_block=[1, 2, 3])
        vae = dict(
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(4, 8, 8), layers_per_block=1, norm_num_groups=4,
            latent_channels=4, sample_size=32, scaling_factor=0.13025)
        text = dict(hidden_size=12, intermediate_size=24, num_hidden_layers=2,
                    num_attention_heads=2, max_position_embeddings=77)
        text_2 = dict(hidden_size=20, intermediate_size=32, num_hidden_layers=3,
                      num_attention_heads=4, max_position_embeddings=77, projection_dim=14,
                      hidden_act="gelu")
        ref.save_pipeline_xl(
            folder, seed=shapes.seed(), unet=unet, vae=vae, text=text, text_2=text_2, zeros=zeros,
            half=zeros is None)
    return folder


def picture_arguments(settings):
    arguments = ["--prompt", settings["prompt"], "--seed", settings["seed"], "--steps",
                 settings["steps"], "--guidance", settings["guidance"], "--eta",
                 settings.get("eta", 0)]
    if "size" in settings:
        width, height = settings["size"]
        arguments += ["--size", f"{width}x{height}"]
    if "negative" in settings:
        arguments += ["--negative", settings["negative"]]
    return arguments


def check_sample(judge, options):
    if not judge.wanted("sample"):
        return
    folder = pipeline_folder(judge, Shapes(f"{options.seed} pipeline"))
    prompt = "a red circle on the left"
    cases = {
        "plain": dict(prompt=prompt, seed=42, steps=20, guidance=7.5, size=(64, 64)),
        "wide": dict(prompt="blue!", seed=0, steps=7, guidance=2.0, size=(96, 32), negative="red"),
        "eta 1": dict(prompt=prompt, seed=2**40 + 3, steps=10, guidance=5.0, size=(64, 64), eta=1.0),
        "no guidance": dict(prompt="", seed=1, steps=3, guidance=1.0, size=(32, 64)),
        "lora": dict(prompt=prompt, seed=5, steps=10, guidance=5.0, size=(64, 64)),
        "lora at half scale": dict(prompt=prompt, seed=5, steps=10, guidance=5.0, size=(64, 64)),
    }
    for title, settings in cases.items():
        name = f"sample {title}"
        with judge.case(name) as measured:
            pipeline = ref.load_pipeline(folder)
            arguments = picture_arguments(settings)
            if title.startswith("lora"):
                file, _ = random_lora_file(
                    judge, name, pipeline.unet, "diffusers", Shapes(f"{options.seed} {title}"))
                ref.load_lora(pipeline.unet, file)
                arguments += ["--lora", file]
                if "half" in title:
                    pipeline.set_adapters(pipeline.unet.active_adapters(), 0.5)
                    arguments += ["--lora-scale", 0.5]
            compare_pictures(judge, measured, name, folder, arguments,
                             ref.sample_picture(pipeline, **settings))


SCHEDULERS = {
    "ddim": diffusers.DDIMScheduler,
    "pndm": diffusers.PNDMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "dpm++": diffusers.DPMSolverMultistepScheduler,
}


def check_sample_xl(judge, options):
    prompt = "a red circle on the left"
    plain = dict(prompt=prompt, seed=42, steps=20, guidance=5.0)
    cases = {
        "plain": (True, plain),
        "no zeros": (False, plain | dict(seed=7)),
        "zeros by default": (None, plain | dict(prompt="blue!", steps=9)),
        "negative": (True, plain | dict(negative="yellow, green", size=(48, 64), steps=6)),
        "empty negative": (True, plain | dict(negative="", size=(64, 32), steps=6)),
        "empty prompt": (True, plain | dict(prompt="", steps=5, seed=2**33)),
        "no guidance": (True, plain | dict(guidance=1.0, steps=4)),
        "lora": (True, plain | dict(steps=8)),
    } | {f"scheduler {name}": (True, plain | dict(steps=10)) for name in SCHEDULERS} | {
        "eta 1": (True, plain | dict(steps=8, eta=1.0, prompt="purple triangle")),
    }
    for title, (zeros, settings) in cases.items():
        name = f"sample xl {title}"
        if not judge.wanted(name):
            continue
        with judge.case(name) as measured:
            folder = pipeline_folder_xl(judge, Shapes(f"{options.seed} pipeline xl"), zeros)
            pipeline = ref.load_pipeline(folder)
            arguments = picture_arguments(settings)
            scheduler = "ddim" if title == "eta 1" else title.removeprefix("scheduler ")
            if scheduler in SCHEDULERS:
                pipeline.scheduler = SCHEDULERS[scheduler].from_pretrained(folder / "scheduler")
                arguments += ["--scheduler", scheduler]
            if title == "lora":
                file, _ = random_lora_file(
                    judge, name, pipeline.unet, "diffusers", Shapes(f"{options.seed} {title}"))
                ref.load_lora(pipeline.unet, file)
                arguments += ["--lora", file]
            compare_pictures(judge, measured, name, folder, arguments,
                             ref.sample_picture(pipeline, **settings))


def compare_pictures(judge, measured, name, folder, arguments, expected):
    """The mean absolute difference of each channel, of 255."""
    picture = judge.path(name, "picture.png")
    judge.run("sample", "--model", folder, *arguments, "--rng", "torch-cpu", "--out", picture)
    found = np.asarray(Image.open(picture).convert("RGB"), dtype=np.float32)
    if found.shape != expected.shape:
        raise Failure(f"picture of {found.shape} instead of {expected.shape}")
    if found.std() < 8:
        raise Failure(f"a picture without contrast judges nothing: {found.std()}")
    for channel in range(3):
        difference = np.abs(found - (expected * 255).round())[..., channel].mean()
        measured.append((float(difference), 1.0))


def check_export(judge, options):
    if not judge.wanted("export"):
        return
    shapes = Shapes(f"{options.seed} export")
    folder = pipeline_folder(judge, Shapes(f"{options.seed} pipeline"))
    unet = ref.load_pipeline(folder).unet
    config = dict(cross_attention_dim=unet.config.cross_attention_dim)
    inputs = shapes.unet_inputs(config, batch=2)
    for form in ("diffusers", "kohya alpha"):
        given, pairs = random_lora_file(judge, f"export {form}", unet, form, shapes)
        tuned = ref.apply_unet(ref.load_lora(ref.load_pipeline(folder).unet, given), inputs)
        for target in ("lora", "webui"):
            for dtype in ("f32", "f16", "bf16"):
                with judge.case(f"export {form} to {target} {dtype}") as measured:
                    written = judge.path(f"export {form}", f"{target}-{dtype}.safetensors")
                    judge.run("export", "--model", folder, "--lora", given, "--to", target,
                              "--dtype", dtype, "--out", written)
                    check_lora_file(written, target, dtype, pairs)
                    loaded = ref.load_lora(ref.load_pipeline(folder).unet, written)
                    rounding = {"f32": EXPORTED, "f16": 5e-3, "bf16": 5e-2}[dtype]
                    found = ref.apply_unet(loaded, inputs)["sample"]
                    measured.append((relative_error(found, tuned["sample"]), rounding))
        for dtype in ("f32", "f16", "bf16"):
            with judge.case(f"export {form} to merged {dtype}") as measured:
                written = judge.path(f"export {form}", f"merged-{dtype}")
                judge.run("export", "--model", folder, "--lora", given, "--to", "merged",
                          "--dtype", dtype, "--out", written)
                merged = ref.load_pipeline(written)
                rounding = {"f32": EXPORTED, "f16": 5e-3, "bf16": 5e-2}[dtype]
                found = ref.apply_unet(merged.unet, inputs)["sample"]
                measured.append((relative_error(found, tuned["sample"]), rounding))
                check_dtype(written / "unet" / "diffusion_pytorch_model.safetensors", dtype)


DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def check_dtype(file, dtype):
    kinds = {value.dtype for value in load_file(file).values()}
    if kinds != {DTYPES[dtype]}:
        raise Failure(f"{file.name} holds {kinds} instead of {dtype}")


def check_lora_file(file, target, dtype, pairs):
    check_dtype(file, dtype)
    weights = load_file(file)
    form = {"lora": "diffusers", "webui": "kohya"}[target]
    expected = {ref.lora_key(form, module, half) for module in pairs for half in ("down", "up")}
    if target == "webui":
        expected |= {f"lora_unet_{module.replace('.', '_')}.alpha" for module in pairs}
        with safe_open(file, "pt") as opened:
            missing = {"ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim",
                       "ss_network_alpha", "ss_network_args"} - set(opened.metadata() or {})
        if missing:
            raise Failure(f"the header lacks {sorted(missing)}")
    if set(weights) != expected:
        raise Failure(f"lacks {sorted(expected - set(weights))[:3]}, "
                      f"has too much {sorted(set(weights) - expected)[:3]}")


NASTY = [
    "", " ", "\n", "hello world", "an astronaut riding a horse on mars", "A RED  Circle\tON\nthe left",
    "circles, squares & triangles!", "a-red circle's left; don't you'll we've I'm they'd 'S 'T 'Ll",
    "<|startoftext|> red <|endoftext|> blue", "<|STARTOFTEXT|>", "<|endoftext|><|endoftext|>",
    "< |endoftext|>", "<|endoftext|", "3 red circles and 1234567890 blue", "Été à côté naïve",
    "e\u0301te\u0301", "\u1e9b\u0323 Å Å", "İstanbul I ı", "ΣΑΣ ΟΔΥΣΣΕΥΣ ς", "STRASSE straße ẞ",
    "红色 圆 三角形", "赤い丸、青い四角。", "빨간 원", "עיגול אדום", "دائرة حمراء ٣", "लाल वृत्त १२",
    "🙂🙂🏽 red👍🏿", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "\u00a0red\u3000blue\u200bgreen\u2028left\u0085right", "\ufeffred",
    "red\x01blue\x7f", "red_circle red.circle (red) [red] {red} red/blue\\green",
    "a red circle " * 40, "red" * 60, "x" * 500, "!!! !! !", "... …", "''' 's '", '"quoted"',
    "ǅ ﬁ ½ ² Ⅷ ①", "redredred leftright", "\U0001d55f\U0001d560 𝟙𝟚", "a\u0300\u0301\u0302", "--help", "-",
    "&amp; &lt;red&gt; &#233;", "C:\\red\\blue", "https://example.org/?red=1&blue=2#left",
    "ﷺ", "ⅠⅡⅢ", "Ω Ω K K", "ı̇", "ŉ ǰ", "߀߁ ๑๒",
]


def check_tokens(judge, options):
    if not judge.wanted("tokenize"):
        return
    texts = list(NASTY)
    source = random.Random(f"{options.seed} tokens")
    for _ in range(60):
        length = source.randrange(1, 40)
        texts.append("".join(random_character(source) for _ in range(length)))
    for pad in ("<|endoftext|>", "!"):
        folder = judge.path(f"tokenize {pad.strip('<|>')}".replace("!", "bang"))
        ref.save_tokenizer(folder / "tokenizer", ref.WORDS, pad=pad)
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer")
        with judge.case(f"tokenize {len(texts)} texts, padded with {pad}"):
            wrong = []
            for text in texts:
                expected = tokenizer(text, padding="max_length", truncation=True,
                                     max_length=77).input_ids
                found = json.loads(judge.run("tokenize", "--model", folder, "--text", text))
                if found != expected:
                    wrong.append(f"{text!r}: {found[:12]} instead of {expected[:12]}")
            if wrong:
                raise Failure(f"{len(wrong)} differ, " + "; ".join(wrong[:5]))


def random_character(source):
    kind = source.random()
    if kind < 0.5:
        return source.choice("abcdefghij REDblue circle'.,!<|>&-0123456789 \t")
    while True:
        code = source.randrange(0xA0, 0x3000) if kind < 0.8 else source.randrange(0x3000, 0x20000)
        if unicodedata.category(chr(code)) not in ("Cn", "Cs"):
            return chr(code)


if __name__ == "__main__":
    print(f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}")
    torch.set_num_threads(1)  # barriers of several threads are slow beside other work
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    harness.main(
        __doc__.splitlines()[0],
        [check_text_encoders, check_unet, check_lora, check_vae, check_preference, check_ddim,
         check_spo_loss, check_dpo_loss, check_files, check_refusals, check_sample, check_sample_xl, check_export, check_tokens],
        count=dict(type=int, default=6, help="cases of each kind"),
        seed=dict(default="0", help="another seed gives other shapes and weights"))
