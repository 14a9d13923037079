"""The same work as `spo bench NAME`, done by PyTorch with diffusers, transformers and peft.

Usage: python Tests/Judge/bench_torch.py NAME [--model DIR|tiny|sd15] [--batch B] [--size WxH]
                                         [--repeat R] [--threads T] [--preference DIR]

NAME: unet, unet-backward, unet-lora, vae-decode, vae-encode, text-encoder, preference, spo-step, or
an operator at the U-Net's shapes: conv3x3, linear, attention, groupnorm-silu, geglu, layernorm.
`tiny` (the default) and `sd15` are random models of the embedded and of the published shape.
Prints one JSON object: name, median_s, min_s, runs, threads, peak_rss_mb and what was done.
Single precision throughout; nothing else should be running.
"""

import argparse
import json
import os
import resource
import statistics
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import torch
import torch.nn.functional as F
import transformers
from peft import LoraConfig
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

import reference as ref

# ---------------------------------------------------------------------------------------------
# Models

TINY = dict(
    unet=dict(
        sample_size=16, block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=4,
        cross_attention_dim=64),
    vae=dict(
        block_out_channels=(16, 24, 48), layers_per_block=1, norm_num_groups=8, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        sample_size=64, scaling_factor=1.0),
    text=dict(
        vocab_size=581, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=24, bos_token_id=579, eos_token_id=580),
    vision=dict(
        hidden_size=96, intermediate_size=192, num_hidden_layers=3, num_attention_heads=4,
        image_size=64, patch_size=8),
    projection=64)

SD15 = dict(
    unet=dict(
        sample_size=64, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, attention_head_dim=8,
        cross_attention_dim=768),
    vae=dict(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=512),
    text=dict(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=77, bos_token_id=49406,
        eos_token_id=49407),
    vision=dict(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16,
        image_size=224, patch_size=14, hidden_act="gelu"),
    preference_text=dict(
        vocab_size=49408, hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
        num_attention_heads=16, max_position_embeddings=77, hidden_act="gelu", eos_token_id=2),
    projection=1024)


class Models:
    """The parts of a model, from a folder or random, made when they are first asked for."""

    def __init__(self, model, preference):
        self.folder = None if model in ("tiny", "sd15") else Path(model)
        self.shapes = SD15 if model == "sd15" else TINY
        self.preference_folder = preference

    def part(self, kind, name, build):
        if self.folder:
            return kind.from_pretrained(self.folder / name, dtype=torch.float32).eval()
        return build(1, **self.shapes[name.split("_")[0]])

    def unet(self):
        return self.part(diffusers.UNet2DConditionModel, "unet", ref.build_unet)

    def vae(self):
        return self.part(diffusers.AutoencoderKL, "vae", ref.build_vae)

    def text_encoder(self):
        return self.part(transformers.CLIPTextModel, "text_encoder", ref.build_text_encoder)

    def scheduler(self):
        if self.folder:
            return diffusers.DDIMScheduler.from_pretrained(self.folder / "scheduler")
        return ref.scheduler()

    def preference(self):
        if self.preference_folder:
            folder = Path(self.preference_folder)
            model = ref.StepAwareCLIP(transformers.CLIPConfig.from_pretrained(folder))
            model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
            return model.float().eval()
        text = self.shapes.get("preference_text", self.shapes["text"])
        return ref.build_preference(2, text, self.shapes["vision"], self.shapes["projection"])


def with_lora(unet, rank=4):
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian",
        target_modules=list(ref.ATTENTION_PROJECTIONS)))
    return [parameter for parameter in unet.parameters() if parameter.requires_grad]


def latent_size(options, config):
    if options.size:
        width, height = map(int, options.size.split("x"))
        return height, width
    return config.sample_size, config.sample_size


def unet_inputs(unet, text_length, options):
    batch = options.batch or 2
    height, width = latent_size(options, unet.config)
    return (
        ref.normal(1, batch, unet.config.in_channels, height, width),
        torch.linspace(1, 951, batch).long(),
        ref.normal(2, batch, text_length, unet.config.cross_attention_dim))


# ---------------------------------------------------------------------------------------------
# Work: each returns a function to be timed, and a description


def forward(function, **description):
    def work():
        with torch.inference_mode():
            function()

    with FlopCounterMode(display=False) as counter:
        work()
    return work, {"flop": counter.get_total_flops()} | description


def text_length(models):
    return models.shapes["text"]["max_position_embeddings"] if not models.folder else (
        models.text_encoder().config.max_position_embeddings)


def unet_forward(models, options):
    unet = models.unet()
    inputs = unet_inputs(unet, text_length(models), options)
    return forward(lambda: unet(*inputs), batch=len(inputs[1]), shape=list(inputs[0].shape))


def unet_backward(models, options):
    """Forward and backward through every weight, as the base model is trained."""
    unet = models.unet()
    inputs = unet_inputs(unet, text_length(models), options)

    def work():
        unet.zero_grad(set_to_none=True)
        unet(*inputs).sample.square().mean().backward()

    return work, {"batch": len(inputs[1]), "shape": list(inputs[0].shape)}


def unet_lora(models, options):
    unet = models.unet()
    trained = with_lora(unet)
    inputs = unet_inputs(unet, text_length(models), options)

    def work():
        for parameter in trained:
            parameter.grad = None
        unet(*inputs).sample.square().mean().backward()

    return work, {
        "batch": len(inputs[1]), "shape": list(inputs[0].shape),
        "trained": sum(parameter.numel() for parameter in trained)}


def vae_decode(models, options):
    vae = models.vae()
    side = vae.config.sample_size // 2 ** (len(vae.config.block_out_channels) - 1)
    size = [int(part) for part in reversed((options.size or f"{side}x{side}").split("x"))]
    latents = ref.normal(1, options.batch or 1, vae.config.latent_channels, *size)
    return forward(lambda: vae.decode(latents).sample, shape=list(latents.shape))


def vae_encode(models, options):
    vae = models.vae()
    side = vae.config.sample_size
    size = [int(part) for part in reversed((options.size or f"{side}x{side}").split("x"))]
    image = ref.normal(1, options.batch or 1, 3, *size)
    return forward(lambda: vae.encode(image).latent_dist.mean, shape=list(image.shape))


def text_encoder(models, options):
    model = models.text_encoder()
    length = model.config.max_position_embeddings
    ids = torch.randint(0, model.config.vocab_size - 1, (options.batch or 4, length))
    ids[:, -1] = model.config.vocab_size - 1
    return forward(lambda: model(input_ids=ids).last_hidden_state, shape=list(ids.shape))


def preference(models, options):
    model = models.preference()
    side = model.config.vision_config.image_size
    batch, length = options.batch or 4, model.config.text_config.max_position_embeddings
    pixels, timestep = ref.normal(1, batch, 3, side, side), torch.linspace(0, 951, batch)
    ids = torch.randint(0, model.config.text_config.vocab_size - 1, (batch, length))
    return forward(lambda: model.score(pixels, ids, timestep), shape=list(pixels.shape))


# ---------------------------------------------------------------------------------------------
# One iteration of SPO: sample with candidates, score, train on every pair


STEPS, CANDIDATES, GUIDANCE, DIVERT, ETA, TRAIN_BATCH = 20, 4, 5.0, 4, 1.0, 10


class Iteration:
    """As the published code does it: prompts encoded for each batch, the reference a second model,
    win and lose each with their own tuned and reference call."""

    def __init__(self, models, options):
        self.prompts = options.batch or 10
        self.scheduler, self.vae = models.scheduler(), models.vae()
        self.text_encoder, self.preference = models.text_encoder(), models.preference()
        self.unet, self.reference = models.unet(), models.unet().requires_grad_(False)
        self.trained = with_lora(self.unet)
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=6e-5, betas=(0.9, 0.999), weight_decay=1e-4, eps=1e-8)
        self.scheduler.set_timesteps(STEPS)
        self.size = latent_size(options, self.unet.config)
        self.empty_ids = self.random_ids(1)

    def random_ids(self, count):
        config = self.text_encoder.config
        ids = torch.randint(0, config.vocab_size - 2, (count, config.max_position_embeddings))
        ids[:, 9:] = config.vocab_size - 1
        return ids

    def guided(self, unet, latents, timestep, empty, text):
        both = unet(
            torch.cat([latents, latents]), torch.cat([timestep, timestep]),
            torch.cat([empty.expand_as(text), text])).sample
        unconditional, conditional = both.chunk(2)
        return unconditional + GUIDANCE * (conditional - unconditional)

    def scores(self, latents, ids, timestep):
        image = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        side = self.preference.config.vision_config.image_size
        timesteps = timestep.expand(len(latents))
        return self.preference.score(ref.scoring_pixels(image, side), ids, timesteps)

    @torch.no_grad()
    def sample(self, ids, empty, text):
        """Recorded (timestep, x_t, winner, loser, prompt) rows, one a prompt and diverging step."""
        shape = (self.prompts, self.unet.config.in_channels, *self.size)
        shared, candidates, recorded = torch.randn(shape), None, []
        many_text, many_ids = text.repeat(CANDIDATES, 1, 1), ids.repeat(CANDIDATES, 1)
        many = (CANDIDATES, *shape)
        last = None

        def record(scores, timestep):
            best, worst = scores.argmax(0), scores.argmin(0)
            chances = torch.stack([scores.amax(0), scores.amin(0)]).softmax(0)
            kept = chances[0] - chances[1] >= 0
            rows = torch.arange(self.prompts)
            recorded.append([part[kept] for part in (
                timestep.expand(self.prompts), shared, candidates[best, rows],
                candidates[worst, rows], text)])

        for index, timestep in enumerate(self.scheduler.timesteps):
            if candidates is None:
                noise = self.guided(
                    self.unet, shared, timestep.expand(self.prompts), empty, text)
                mean, sigma, _ = ref.ddim_step(
                    self.scheduler, noise, shared, timestep.expand(self.prompts), STEPS, ETA)
                if index < DIVERT:
                    shared = mean + sigma * torch.randn_like(mean)
                    continue
            else:
                flat = candidates.flatten(0, 1)
                noise = self.guided(
                    self.unet, flat, timestep.expand(len(flat)), empty, many_text)
                mean, sigma, original = ref.ddim_step(
                    self.scheduler, noise, flat, timestep.expand(len(flat)), STEPS, ETA)
                record(self.scores(original, many_ids, timestep).view(CANDIDATES, -1), last)
                chosen = torch.randint(0, CANDIDATES, (self.prompts,))
                rows = torch.arange(self.prompts)
                shared = candidates[chosen, rows]
                mean, sigma = mean.view(many)[chosen, rows], sigma[:self.prompts]
            candidates = mean + sigma * torch.randn(many)
            last = timestep
        flat = candidates.flatten(0, 1)
        record(self.scores(flat, many_ids, torch.zeros((), dtype=torch.long))
               .view(CANDIDATES, -1), last)
        return [torch.cat(parts) for parts in zip(*recorded)]

    def log_density(self, unet, latents, following, timestep, empty, text):
        noise = self.guided(unet, latents, timestep, empty, text)
        mean, sigma, _ = ref.ddim_step(self.scheduler, noise, latents, timestep, STEPS, ETA)
        return ref.log_density(following, mean, sigma)

    def train(self, rows, empty):
        order = torch.randperm(len(rows[0]))
        for batch in order.split(TRAIN_BATCH):
            timestep, latents, winner, loser, text = (part[batch] for part in rows)
            logs = []
            for following in (winner, loser):
                tuned, fixed = (
                    self.log_density(unet, latents, following, timestep, empty, text)
                    for unet in (self.unet, self.reference))
                logs.append((tuned - fixed).exp().clamp(0.9, 1.1).log())
            loss = -F.logsigmoid(10 * (logs[0] - logs[1])).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()

    def __call__(self):
        torch.manual_seed(0)
        ids = self.random_ids(self.prompts)
        with torch.no_grad():
            text, empty = (
                self.text_encoder(input_ids=part).last_hidden_state
                for part in (ids, self.empty_ids))
        start = time.perf_counter()
        rows = self.sample(ids, empty, text)
        self.sampling = time.perf_counter() - start
        self.pairs = len(rows[0])
        self.train(rows, empty)


def spo_step(models, options):
    iteration = Iteration(models, options)

    def work():
        iteration()
        description["pairs"], description["sampling_s"] = iteration.pairs, iteration.sampling

    description = {"prompts": iteration.prompts, "steps": STEPS, "candidates": CANDIDATES}
    return work, description


# ---------------------------------------------------------------------------------------------
# Operators at Stable Diffusion v1's shapes, batch 2: (channels, side of the latent)


LEVELS = [(320, 64), (640, 32), (1280, 16), (1280, 8)]


def operators(name, batch):
    for channels, side in LEVELS:
        tokens = side * side
        image = ref.normal(1, batch, channels, side, side)
        rows = ref.normal(2, batch, tokens, channels)
        if name == "conv3x3":
            layer = torch.nn.Conv2d(channels, channels, 3, padding=1)
            yield (channels, side), lambda layer=layer, image=image: layer(image)
        elif name == "linear":
            layer = torch.nn.Linear(channels, channels)
            yield (channels, side), lambda layer=layer, rows=rows: layer(rows)
        elif name == "attention":
            heads = rows.view(batch, tokens, 8, channels // 8).transpose(1, 2)
            yield (channels, side), lambda heads=heads: F.scaled_dot_product_attention(
                heads, heads, heads)
        elif name == "groupnorm-silu":
            layer = torch.nn.GroupNorm(32, channels)
            yield (channels, side), lambda layer=layer, image=image: F.silu(layer(image))
        elif name == "layernorm":
            layer = torch.nn.LayerNorm(channels)
            yield (channels, side), lambda layer=layer, rows=rows: layer(rows)
        elif name == "geglu":
            wide = ref.normal(3, batch, tokens, 8 * channels)

            def geglu(wide=wide):
                value, gate = wide.chunk(2, dim=-1)
                return value * F.gelu(gate)

            yield (channels, side), geglu


def measure_operators(name, options):
    batch = options.batch or 2
    cases = []
    for (channels, side), function in operators(name, batch):
        work, description = forward(function)
        seconds = timed(work, options.repeat)
        cases.append({
            "channels": channels, "side": side, "batch": batch, "median_s": seconds[0],
            "min_s": seconds[1]} | ({"flop": description["flop"]} if description["flop"] else {}))
    return {"cases": cases, "median_s": sum(case["median_s"] for case in cases),
            "min_s": sum(case["min_s"] for case in cases)}


# ---------------------------------------------------------------------------------------------


def timed(work, repeat):
    """Median and least of `repeat` runs after one that is thrown away."""
    work()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), min(seconds)


WORK = {
    "unet": unet_forward, "unet-backward": unet_backward, "unet-lora": unet_lora,
    "vae-decode": vae_decode, "vae-encode": vae_encode, "text-encoder": text_encoder,
    "preference": preference, "spo-step": spo_step,
}
OPERATORS = ["conv3x3", "linear", "attention", "groupnorm-silu", "geglu", "layernorm"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*WORK, *OPERATORS])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--preference", metavar="DIR")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--size", help="WxH of the latents, or of the picture to encode")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true", help="accepted; the output is always JSON")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()

    if options.name in OPERATORS:
        result = measure_operators(options.name, options)
    else:
        work, result = WORK[options.name](Models(options.model, options.preference), options)
        median, least = timed(work, options.repeat)
        result = {"median_s": median, "min_s": least} | result
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"name": options.name} | result | {
        "runs": options.repeat, "threads": torch.get_num_threads(), "peak_rss_mb": round(peak, 1),
        "peer": f"torch {torch.__version__}, diffusers {diffusers.__version__}"}))


if __name__ == "__main__":
    main()
