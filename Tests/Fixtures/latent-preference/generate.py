"""Golden cases of the latent preference model, on the models of ../sample and ../sample-xl.

Writes v1/ and xl/ beside itself: a model folder as the published one is laid out (the whole U-Net, the
text encoders), its heads, and what torch computes with them: scores, and the gradients of sum(w * score).
"""

import json
import math
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Reference"))

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

import reference as ref

TEXTS = ["a red circle on the left", "", "blue square, green background"]


class Model:
    def __init__(self, base, seed, guidance):
        self.is_xl = (base / "text_encoder_2").exists()
        self.guidance = guidance
        self.tokenizers = [CLIPTokenizer.from_pretrained(base / name)
                           for name in ["tokenizer", "tokenizer_2"][:1 + self.is_xl]]
        kinds = [CLIPTextModel, CLIPTextModelWithProjection][:1 + self.is_xl]
        names = ["text_encoder", "text_encoder_2"]
        self.encoders = {name: kind.from_pretrained(base / name, torch_dtype=torch.float32)
                         for name, kind in zip(names, kinds)}
        self.unet = ref.randomize(UNet2DConditionModel.from_pretrained(
            base / "unet", torch_dtype=torch.float32), seed)
        # Height and width in pixels of the models in ../sample and ../sample-xl.
        vae = json.loads((base / "vae" / "config.json").read_text())
        self.side = self.unet.config.sample_size * 2 ** (len(vae["block_out_channels"]) - 1)
        channels = self.unet.config.block_out_channels
        config = list(self.encoders.values())[-1].config
        width = config.projection_dim if self.is_xl else config.hidden_size
        self.heads = {
            "visual_projection.weight": 0.3 * ref.normal(
                seed + 1, width, sum(channels) + channels[-1]),
            "logit_scale": torch.tensor(math.log(1 / 0.07)),
        }
        if not self.is_xl:
            self.heads["text_projection.weight"] = 0.3 * ref.normal(seed + 2, width, width)
        for head in self.heads.values():
            head.requires_grad_()

    def save(self, folder):
        self.unet.half().save_pretrained(folder / "unet")
        self.unet.float()
        for name, encoder in self.encoders.items():
            encoder.half().save_pretrained(folder / name)
            encoder.float()
        # Where a part was loaded from is a path of the machine that ran this.
        for path in folder.glob("*/config.json"):
            config = json.loads(path.read_text())
            config.pop("_name_or_path", None)
            path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        save_file({name: head.detach() for name, head in self.heads.items()},
                  folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"feature_guidance": self.guidance}) + "\n")

    def named_parameters(self):
        skipped = ("up_blocks.", "conv_norm_out.", "conv_out.")
        named = {f"unet.{name}": value for name, value in self.unet.named_parameters()
                 if not name.startswith(skipped)}
        for folder, encoder in self.encoders.items():
            # As files have them, whichever way the library calls them.
            for name, value in encoder.named_parameters():
                if not name.startswith(("text_model.", "text_projection.")):
                    name = "text_model." + name
                named[f"{folder}.{name}"] = value
        return named | self.heads

    def text(self, texts):
        outputs = [
            encoder(tokenizer(texts, padding="max_length", truncation=True,
                              max_length=tokenizer.model_max_length, return_tensors="pt").input_ids,
                    output_hidden_states=True)
            for tokenizer, encoder in zip(self.tokenizers, self.encoders.values())]
        if self.is_xl:
            states = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
            return states, outputs[1].text_embeds, outputs[1].text_embeds
        return outputs[0].last_hidden_state, None, (
            outputs[0].pooler_output @ self.heads["text_projection.weight"].T)

    def features(self, latents, timesteps, states, pooled):
        """Means of what each level of the way down ends with, and of the middle."""
        found = {}
        handles = [block.register_forward_hook(
            lambda _, __, output, i=i: found.__setitem__(i, output))
            for i, block in enumerate(self.unet.down_blocks)]
        handles.append(self.unet.mid_block.register_forward_hook(
            lambda _, __, output: found.__setitem__("middle", output)))
        added = None
        if self.is_xl:
            ids = torch.tensor([[float(self.side), self.side, 0, 0, self.side, self.side]])
            added = {"text_embeds": pooled, "time_ids": ids.repeat(len(latents), 1)}
        self.unet(latents, timesteps, states, added_cond_kwargs=added)
        for handle in handles:
            handle.remove()
        levels = []
        for i, block in enumerate(self.unet.down_blocks):
            states = found[i][1]
            levels.append(states[-1 if block.downsamplers is None else -2].mean(dim=(2, 3)))
        return levels, found["middle"].mean(dim=(2, 3))

    def score(self, latents, timesteps, texts):
        states, pooled, text = self.text(texts)
        levels, middle = self.features(latents, timesteps, states, pooled)
        if self.guidance != 1:
            states, pooled, _ = self.text([""] * len(texts))
            _, empty = self.features(latents, timesteps, states, pooled)
            middle = empty + self.guidance * (middle - empty)
        visual = torch.cat(levels + [middle], dim=1) @ self.heads["visual_projection.weight"].T
        cosine = torch.nn.functional.cosine_similarity(visual, text, dim=1)
        return self.heads["logit_scale"].exp() * cosine


def case(name, base, seed, guidance):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model = Model(HERE.parent / base / "model", seed, guidance)
    folder.mkdir()
    model.save(folder)
    size = model.unet.config.sample_size
    inputs = {
        "latents": ref.normal(seed + 5, len(TEXTS), 4, size, size),
        "timestep": torch.tensor([1, 501, 951]),
    }
    score = model.score(inputs["latents"], inputs["timestep"], TEXTS)
    weights = ref.normal(seed + 6, len(TEXTS))
    found = ref.gradients({"score": score}, {"score": weights}, model.named_parameters())
    ref.save_case(
        {f"input.{key}": value for key, value in inputs.items()}
        | {"output.score": score, "grad_output.score": weights}
        | {f"grad.{key}": value for key, value in found.items()}, folder / "case.safetensors")
    (folder / "texts.json").write_text(json.dumps(TEXTS) + "\n")
    # As github.com/Kwai-Kolors/LPO saves them; the scale as a number, as some of its releases have it.
    heads = {key.removesuffix(".weight"): {"weight": value.detach()}
             for key, value in model.heads.items() if key != "logit_scale"}
    torch.save(heads | {"logit_scale": model.heads["logit_scale"].item()},
               HERE / f"{name}-state_dict.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    case("v1", "sample", 7000, 7.5)
    case("xl", "sample-xl", 7100, 7.5)
