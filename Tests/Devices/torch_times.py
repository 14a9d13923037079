"""What gpu.py measures of the program, done by PyTorch: python torch_times.py ROWS.json RESULTS.jsonl cuda:N|cpu

Each row names what is computed (`subject`), a model's folder, a batch, and perhaps the inputs and outputs that the
program saved. `peer` says in what: weights and activations in float16, float32, or float32 with TF32 (tf32), and
whether diffusers' U-Net is measured. Channels-last; medians by CUDA events after warm-up runs;
memory is the largest that tensors took at one time in the timed runs. A line of JSON for each row as soon as it is known: what cannot
run says why, and the others go on.
"""

import json
import pathlib
import statistics
import sys
import time

import torch

from torch_clip import Preference, TextEncoder
from torch_models import Autoencoder, UNet, add_lora
from torch_step import Iteration
from torch_weights import make, read_safetensors

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WARM_UPS, RUNS, SECONDS = 3, 20, 3


def load(kind, folder, dtype):
    config = json.loads((folder / "config.json").read_text())
    weights, = folder.glob("*.safetensors")
    with torch.device("meta"):
        model = kind(config)
    model.load_state_dict(
        {name: value.to(dtype) for name, value in read_safetensors(weights, DEVICE).items()}, assign=True)
    return model.to(memory_format=torch.channels_last).eval()


class Row:
    def __init__(self, row):
        self.row = row
        self.dtype = torch.float16 if row["peer"].startswith("float16") else torch.float32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = row["peer"] == "tf32"
        self.batch = row["batch"]
        self.model = pathlib.Path(row["model"])
        saved = row.get("saved")
        self.saved = read_safetensors(saved, DEVICE) if saved and pathlib.Path(saved).exists() else {}
        torch.manual_seed(1)

    def part(self, kind, name):
        return load(kind, self.model / name, self.dtype)

    def preference_model(self):
        """Of the folder, or a random one if it has no weights."""
        folder = pathlib.Path(self.row["preference"])
        if list(folder.glob("*.safetensors")):
            return load(Preference, folder, self.dtype)
        return make(Preference, json.loads((folder / "config.json").read_text()), DEVICE, self.dtype)

    def image(self, name, *shape):
        value = self.saved.get(f"0.{name}")
        value = torch.randn(shape, device=DEVICE) if value is None else value.permute(0, 3, 1, 2)
        return value.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def tensor(self, name, otherwise):
        return self.saved.get(f"0.{name}", otherwise)

    def sides(self, otherwise):
        size = self.row.get("size")
        return tuple(map(int, size.split("x")))[::-1] if size else (otherwise, otherwise)

    def ids(self, config):
        """The last one is the largest."""
        shape = (self.batch, config["max_position_embeddings"])
        ids = torch.randint(0, config["vocab_size"] - 1, shape, device=DEVICE)
        ids[:, -1] = config["vocab_size"] - 1
        return self.tensor("ids", ids).long()

    def unet_inputs(self, unet):
        config = unet.config
        text = json.loads((self.model / "text_encoder/config.json").read_text())
        spread = torch.linspace(1, 951, self.batch, device=DEVICE)
        hidden = torch.randn(
            self.batch, text["max_position_embeddings"], config["cross_attention_dim"], device=DEVICE)
        inputs = [
            self.image("sample", self.batch, 4, *self.sides(config["sample_size"])),
            self.tensor("timesteps", spread).long(), self.tensor("hidden_states", hidden).to(self.dtype)]
        if config.get("addition_embed_type"):
            sizes = torch.tensor([[1024, 1024, 0, 0, 1024, 1024]] * self.batch, device=DEVICE)
            width = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
            pooled = self.tensor("pooled_text", torch.randn(self.batch, width, device=DEVICE))
            inputs += [pooled.to(self.dtype), self.tensor("sizes", sizes)]
        return inputs

    # Each returns work, which returns an output to compare, or none.

    def unet(self):
        unet = self.part(UNet, "unet")
        inputs = self.unet_inputs(unet)
        return torch.no_grad()(lambda: unet(*inputs).permute(0, 2, 3, 1))

    def unet_diffusers(self):
        """With the same weights."""
        import diffusers

        ours = self.part(UNet, "unet")
        inputs = self.unet_inputs(ours)
        with torch.device("meta"):
            unet = diffusers.UNet2DConditionModel.from_config(ours.config)
        unet.load_state_dict(ours.state_dict(), assign=True)
        added = {"text_embeds": inputs[3], "time_ids": inputs[4]} if len(inputs) > 3 else None
        unet = unet.to(memory_format=torch.channels_last).eval()
        return torch.no_grad()(
            lambda: unet(*inputs[:3], added_cond_kwargs=added).sample.permute(0, 2, 3, 1))

    def unet_lora(self):
        unet = self.part(UNet, "unet")
        parameters = [part for adapter in add_lora(unet, 4) for part in (adapter.down, adapter.up)]
        inputs = self.unet_inputs(unet)

        def work():
            for parameter in parameters:
                parameter.grad = None
            unet(*inputs).float().square().mean().backward()

        return work

    def vae_decode(self):
        model = self.part(Autoencoder, "vae")
        side = model.config["sample_size"] // 2 ** (len(model.config["block_out_channels"]) - 1)
        latents = self.image("x", self.batch, model.config["latent_channels"], *self.sides(side))
        return torch.no_grad()(lambda: model.decode(latents).permute(0, 2, 3, 1))

    def text_encoder(self):
        model = self.part(TextEncoder, "text_encoder")
        ids = self.ids(model.config)
        return torch.no_grad()(lambda: model(ids))

    def preference(self):
        model = self.preference_model()
        side = model.config["vision_config"]["image_size"]
        pixels = self.image("pixels", self.batch, 3, side, side)
        timesteps = self.tensor("timesteps", torch.linspace(1, 951, self.batch, device=DEVICE))
        ids = self.ids(model.config["text_config"])
        return torch.no_grad()(lambda: model(pixels, ids, timesteps))

    def spo_step(self):
        unet = self.part(UNet, "unet")
        adapters = add_lora(unet, 4)
        return Iteration(
            unet, adapters, self.part(Autoencoder, "vae"), self.part(TextEncoder, "text_encoder"),
            self.preference_model(), self.batch, self.row.get("steps", 20), self.sides(unet.config["sample_size"]))

    def error(self, output):
        """The largest difference from the program's output, as a share of its largest value."""
        expected = self.saved.get("0.output")
        if expected is None or output is None or self.row["subject"] == "unet-lora":
            return {}
        difference = (output.float().reshape(expected.shape) - expected).abs().max() / expected.abs().max()
        return {"error": difference.item()}

    def measure(self):
        theirs = "_diffusers" if self.row["peer"].endswith(" diffusers") else ""
        work = getattr(self, self.row["subject"].replace("-", "_") + theirs)()
        result = self.error(work())
        is_long = self.row["subject"] == "spo-step"
        for _ in range(0 if is_long else WARM_UPS - 1):
            work()
        if DEVICE == "cuda":
            # Warming up, cuDNN tries algorithms with more memory than the one it chooses.
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        seconds = []
        while len(seconds) < (1 if is_long else RUNS) and sum(seconds) < SECONDS:
            seconds.append(timed(work))
        if DEVICE == "cuda":
            result["device_peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
        return result | {"median_s": statistics.median(seconds), "min_s": min(seconds), "runs": len(seconds)}


def timed(work):
    if DEVICE != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def main():
    torch.backends.cudnn.benchmark = True
    rows, results = map(pathlib.Path, sys.argv[1:3])
    device = sys.argv[3]
    if DEVICE == "cpu" and device != "cpu":
        sys.exit("PyTorch finds no GPU")
    if device.startswith("cuda:"):
        # What "cuda" stands for.
        torch.cuda.set_device(device)
    with results.open("a") as file:
        for row in json.loads(rows.read_text()):
            try:
                result = Row(row).measure()
            except Exception as error:
                result = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
            if DEVICE == "cuda":
                torch.cuda.empty_cache()
            name = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
            line = {"name": row["name"], "peer": row["peer"]} | result | {
                "version": torch.__version__, "on": name}
            print(json.dumps(line), file=file, flush=True)
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
