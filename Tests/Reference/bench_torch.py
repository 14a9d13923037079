"""The same work as `spo bench NAME`, done by PyTorch with diffusers, transformers and peft.

Usage: python Tests/Reference/bench_torch.py NAME [--model DIR|tiny|sd15] [--batch B] [--size WxH]
                                         [--repeat R] [--seconds S] [--threads T]
                                         [--preference DIR] [--inputs FILE] [--flop]

NAME: unet, unet-lora, vae-decode, vae-encode, text-encoder, preference, spo-step, or an operator.
`tiny` (the default) and `sd15` are random models of the embedded and of the published shape.
With `--inputs FILE`, what `spo bench NAME --save FILE` wrote, the inputs are the same and the outputs
are compared; operators need it. Prints one JSON object: name, median_s, min_s, runs, threads,
peak_rss_mb (of the runs alone, not of loading), max_error (of the largest output) and what was done.
Single precision throughout; nothing else should be running.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import torch
import transformers
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

import bench_torch_operators
import reference as ref
from bench_timing import forget_peak, measure, peak_megabytes
from bench_torch_step import Iteration, add_lora

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


# ---------------------------------------------------------------------------------------------
# Work: each takes the models, the inputs and the options, and returns a function to be timed, whose
# outputs have the names and the layout (images channels-last) of ours


class Inputs:
    """What ours worked on, or random tensors."""

    def __init__(self, path):
        tensors = load_file(path) if path else {}
        self.tensors = {name.removeprefix("0."): value for name, value in tensors.items()}

    def image(self, name, *shape):
        found = self.tensors.get(name)
        return ref.normal(1, *shape) if found is None else their_layout(found)

    def tensor(self, name, make):
        return self.tensors[name] if name in self.tensors else make()

    def error(self, outputs):
        """The largest difference from ours, as a share of the largest value of that output."""
        shared = [name for name in outputs if name in self.tensors]
        return max((relative_error(self.tensors[name], outputs[name]) for name in shared),
                   default=None)


def their_layout(image):
    return image.permute(0, 3, 1, 2).contiguous()


def our_layout(image):
    return image.permute(0, 2, 3, 1)


def relative_error(ours, theirs):
    theirs = theirs.detach().reshape(ours.shape)
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30)).item()


def sides(options, usual):
    """Height and width."""
    if not options.size:
        return usual, usual
    width, height = map(int, options.size.split("x"))
    return height, width


def unet_inputs(unet, models, inputs, options):
    batch, config = options.batch or 2, unet.config
    length = models.shapes["text"]["max_position_embeddings"] if not models.folder else (
        transformers.CLIPTextConfig.from_pretrained(
            models.folder / "text_encoder").max_position_embeddings)
    return (
        inputs.image("sample", batch, config.in_channels, *sides(options, config.sample_size)),
        inputs.tensor("timesteps", lambda: torch.linspace(1, 951, batch)).long(),
        inputs.tensor(
            "hidden_states", lambda: ref.normal(2, batch, length, config.cross_attention_dim)))


def unet(models, inputs, options):
    unet = models.unet()
    given = unet_inputs(unet, models, inputs, options)
    return torch.inference_mode()(lambda: {"output": our_layout(unet(*given).sample)})


def unet_lora(models, inputs, options):
    unet = models.unet()
    trained = {}
    for name, parameter in add_lora(unet).items():
        for theirs, half in (("lora_A", "down"), ("lora_B", "up")):
            name = name.replace(f"{theirs}.default.weight", half)
        trained[name] = parameter
        parameter.data = inputs.tensor(f"adapter.{name}", lambda: parameter.data)
    given = unet_inputs(unet, models, inputs, options)

    def work():
        for parameter in trained.values():
            parameter.grad = None
        unet(*given).sample.square().mean().backward()
        return {f"grad.{name}": parameter.grad for name, parameter in trained.items()}

    return work


def vae_decode(models, inputs, options):
    vae = models.vae()
    side = vae.config.sample_size // 2 ** (len(vae.config.block_out_channels) - 1)
    latents = inputs.image(
        "x", options.batch or 1, vae.config.latent_channels, *sides(options, side))
    return torch.inference_mode()(lambda: {"output": our_layout(vae.decode(latents).sample)})


def vae_encode(models, inputs, options):
    vae = models.vae()
    image = inputs.image("x", options.batch or 1, 3, *sides(options, vae.config.sample_size))
    return torch.inference_mode()(
        lambda: {"output": our_layout(vae.encode(image).latent_dist.mean)})


def random_ids(config, batch):
    ids = torch.randint(0, config.vocab_size - 1, (batch, config.max_position_embeddings))
    ids[:, -1] = config.vocab_size - 1
    return ids


def text_encoder(models, inputs, options):
    model = models.text_encoder()
    ids = inputs.tensor("ids", lambda: random_ids(model.config, options.batch or 4)).long()
    return torch.inference_mode()(lambda: {"output": model(input_ids=ids).last_hidden_state})


def preference(models, inputs, options):
    model = models.preference()
    side, batch = model.config.vision_config.image_size, options.batch or 4
    pixels = inputs.image("pixels", batch, 3, side, side)
    timestep = inputs.tensor("timesteps", lambda: torch.linspace(1, 951, batch))
    ids = inputs.tensor("ids", lambda: random_ids(model.config.text_config, batch)).long()
    return torch.inference_mode()(lambda: {"output": model.score(pixels, ids, timestep)})


def spo_step(models, inputs, options):
    iteration = Iteration(
        models, options.batch or 10, lambda config: sides(options, config.sample_size))

    def work():
        iteration()
        return {}

    return work


WORK = {
    "unet": unet, "unet-lora": unet_lora, "vae-decode": vae_decode, "vae-encode": vae_encode,
    "text-encoder": text_encoder, "preference": preference, "spo-step": spo_step,
}

# ---------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*WORK, *bench_torch_operators.OPERATORS])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--preference", metavar="DIR")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--size", help="WxH of the latents, or of the picture to encode")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--inputs", metavar="FILE")
    parser.add_argument("--flop", action="store_true", help="count what a run takes, too")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for library in (transformers, diffusers.utils):
        library.logging.set_verbosity_error()
        library.logging.disable_progress_bar()

    if options.name in WORK:
        inputs = Inputs(options.inputs)
        work = WORK[options.name](Models(options.model, options.preference), inputs, options)
        forget_peak()
        result = measure(work, options, inputs.error)
        if options.flop:
            with FlopCounterMode(display=False) as counter:
                work()
            result["flop"] = counter.get_total_flops()
    else:
        if not options.inputs:
            parser.error(f"{options.name} needs --inputs")
        cases = bench_torch_operators.cases(options.name, load_file(options.inputs))
        result = {"cases": [
            measure(work, options, lambda output, ours=ours: relative_error(ours, output))
            for work, ours in cases]}
    print(json.dumps({"name": options.name} | result | {
        "threads": torch.get_num_threads(), "peak_rss_mb": round(peak_megabytes(), 1),
        "peer": f"torch {torch.__version__}, diffusers {diffusers.__version__}"}))


if __name__ == "__main__":
    main()
