"""What the program is judged against: diffusers and transformers models with random weights, and the
method written down in plain PyTorch. Used by the fixtures' `generate.py` and by `parity.py`."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

# ---------------------------------------------------------------------------------------------
# Random models


def generator(seed):
    return torch.Generator("cpu").manual_seed(seed)


def normal(seed, *shape):
    return torch.randn(shape, generator=generator(seed))


@torch.no_grad()
def randomize(model, seed):
    """Random weights that keep activations of order one; norms and biases are far from 1 and 0."""
    source = generator(seed)
    embeddings = {
        f"{name}.weight" for name, part in model.named_modules()
        if isinstance(part, torch.nn.Embedding)
    }
    for name, parameter in model.named_parameters():
        value = torch.randn(parameter.shape, generator=source)
        if name.endswith("logit_scale"):
            value = 2.6592 + 0.1 * value
        elif name.endswith("bias"):
            value = 0.2 * value
        elif name in embeddings or name.endswith("class_embedding"):
            value = 0.5 * value
        elif parameter.dim() == 1:
            value = 1 + 0.2 * value
        else:
            value = value / math.sqrt(parameter[0].numel())
        parameter.copy_(value)
    return model.eval()


def save_model(model, folder, half=False):
    """Writes `model` as the library does and returns it, rounded to half precision if asked."""
    if half:
        model.half()
    model.save_pretrained(folder)
    return model.float()


def build_unet(seed, **config):
    return randomize(UNet2DConditionModel(**config), seed)


def build_vae(seed, **config):
    return randomize(AutoencoderKL(**config), seed)


def build_text_encoder(seed, projection=False, **config):
    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    return randomize(kind(CLIPTextConfig(**config)), seed)


# ---------------------------------------------------------------------------------------------
# `spo apply`, one function an OP: (model, inputs by name) -> outputs by name


def apply_text_encoder(model, inputs):
    out = model(input_ids=inputs["input_ids"], output_hidden_states=True)
    pooled = out.text_embeds if hasattr(out, "text_embeds") else out.pooler_output
    return {
        "last_hidden_state": out.last_hidden_state,
        "penultimate_hidden_state": out.hidden_states[-2],
        "pooled": pooled,
    }


def apply_unet(model, inputs):
    added = {name: inputs[name] for name in ("text_embeds", "time_ids") if name in inputs}
    sample = model(
        inputs["sample"], inputs["timestep"], inputs["encoder_hidden_states"],
        added_cond_kwargs=added or None,
    ).sample
    return {"sample": sample}


def apply_vae_encode(model, inputs):
    posterior = model.encode(inputs["image"]).latent_dist
    return {"mean": posterior.mean, "logvar": posterior.logvar}


def apply_vae_decode(model, inputs):
    return {"image": model.decode(inputs["latents"]).sample}


# ---------------------------------------------------------------------------------------------
# The step-aware preference model (DiT-style modulation of CLIP's vision tower)


class TimestepEmbedder(torch.nn.Module):
    def __init__(self, width, features=256):
        super().__init__()
        self.features = features
        self.mlp = torch.nn.Sequential(
            torch.nn.Linear(features, width), torch.nn.SiLU(), torch.nn.Linear(width, width))

    def forward(self, timestep):
        half = self.features // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half) / half)
        angles = timestep[:, None].float() * frequencies[None]
        features = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return self.mlp(features.to(self.mlp[0].weight.dtype))


class StepAwareCLIP(CLIPModel):
    """CLIPModel whose vision layers are shifted, scaled and gated by the timestep."""

    def __init__(self, config):
        super().__init__(config)
        width = config.vision_config.hidden_size
        self.t_embedder = TimestepEmbedder(width)
        for layer in self.vision_model.encoder.layers:
            layer.adaLN_modulation = torch.nn.Sequential(
                torch.nn.SiLU(), torch.nn.Linear(width, 6 * width))
        self.vision_model.adaLN_modulation = torch.nn.Sequential(
            torch.nn.SiLU(), torch.nn.Linear(width, 2 * width))

    def image_embedding(self, pixels, timestep):
        condition = self.t_embedder(timestep)
        tower = self.vision_model
        hidden = tower.pre_layrnorm(tower.embeddings(pixels))
        for layer in tower.encoder.layers:
            modulation = layer.adaLN_modulation(condition)[:, None].chunk(6, dim=-1)
            shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = modulation
            attended, _ = layer.self_attn(layer.layer_norm1(hidden) * (1 + scale) + shift)
            hidden = hidden + gate * attended
            hidden = hidden + mlp_gate * layer.mlp(
                layer.layer_norm2(hidden) * (1 + mlp_scale) + mlp_shift)
        shift, scale = tower.adaLN_modulation(condition).chunk(2, dim=-1)
        pooled = tower.post_layernorm(hidden[:, 0]) * (1 + scale) + shift
        return self.visual_projection(pooled)

    def text_embedding(self, input_ids):
        return self.text_projection(self.text_model(input_ids=input_ids).pooler_output)

    def score(self, pixels, input_ids, timestep):
        image = F.normalize(self.image_embedding(pixels, timestep), dim=-1)
        text = F.normalize(self.text_embedding(input_ids), dim=-1)
        return self.logit_scale.exp() * (image * text).sum(-1)


def build_preference(seed, text, vision, projection_dim):
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection_dim)
    model = randomize(StepAwareCLIP(config), seed)
    with torch.no_grad():  # gates near 1, as trained models have them, and away from it
        width = config.vision_config.hidden_size
        for layer in model.vision_model.encoder.layers:
            bias = layer.adaLN_modulation[1].bias.view(6, width)
            bias[2] += 1
            bias[5] += 1
    return model


PREPROCESSOR = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}


def save_preference(model, folder, half=False, size=None):
    """An HF CLIPModel folder with the additional keys in `model.safetensors`."""
    if half:
        model.half().float()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = ["CLIPModel"]
    model.config.save_pretrained(folder)
    weights = {
        name: (value.half() if half else value).detach().contiguous()
        for name, value in model.named_parameters()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    side = model.config.vision_config.image_size
    preprocessor = PREPROCESSOR | {"crop_size": side, "size": side if size is None else size}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    return model


def clip_normalize(image):
    mean = torch.tensor(PREPROCESSOR["image_mean"]).view(1, 3, 1, 1)
    deviation = torch.tensor(PREPROCESSOR["image_std"]).view(1, 3, 1, 1)
    return (image - mean) / deviation


def scoring_pixels(image, side):
    """[B, 3, H, W] in [-1, 1] -> what the vision tower is shown when candidates are scored."""
    height, width = image.shape[-2:]
    scale = side / min(height, width)
    size = (int(height * scale + 0.5), int(width * scale + 0.5))
    image = F.interpolate(image / 2 + 0.5, size=size, mode="bicubic", align_corners=False)
    top, left = round((size[0] - side) / 2), round((size[1] - side) / 2)
    image = image[..., top:top + side, left:left + side]
    return clip_normalize(image.clamp(0, 1))


def training_pixels(image, side):
    """[B, 3, H, W] in [0, 1] -> what the vision tower is shown when it is trained."""
    image = F.interpolate(image, size=(side, side), mode="bicubic", align_corners=False)
    return clip_normalize(image.clamp(0, 1))


def apply_preference(model, inputs):
    pixels = scoring_pixels(inputs["image"], model.config.vision_config.image_size)
    return {"score": model.score(pixels, inputs["input_ids"], inputs["timestep"])}


def apply_spm_loss(model, inputs):
    """Weighted cross-entropy of softmax(score_0, score_1) against the labels, zero for perfect ties."""
    side = model.config.vision_config.image_size
    score_0, score_1 = (
        model.score(training_pixels(inputs[f"image_{i}"], side), inputs["input_ids"],
                    inputs["timestep"])
        for i in (0, 1)
    )
    labels = torch.stack([inputs["label_0"], inputs["label_1"]], dim=-1)
    log_probability = F.log_softmax(torch.stack([score_0, score_1], dim=-1), dim=-1)
    loss = -(labels * log_probability).sum(-1)
    loss = loss - (inputs["label_0"] == inputs["label_1"]) * math.log(2)
    weight = 1 / inputs["examples_per_prompt"]
    return {
        "loss": (loss * weight / weight.sum()).sum(), "score_0": score_0, "score_1": score_1,
    }


# ---------------------------------------------------------------------------------------------
# Step-by-step preference optimization


def ddim_step(scheduler, model_output, sample, timestep, steps, eta):
    """Mean and deviation of the next sample and the estimate of x_0, item by item."""
    alphas = scheduler.alphas_cumprod
    previous = (timestep - scheduler.config.num_train_timesteps // steps).clamp(min=0)
    abar = alphas[timestep].view(-1, 1, 1, 1)
    abar_previous = alphas[previous].view(-1, 1, 1, 1)
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        epsilon = model_output
        original = (sample - (1 - abar).sqrt() * epsilon) / abar.sqrt()
    elif kind == "sample":
        original = model_output
        epsilon = (sample - abar.sqrt() * original) / (1 - abar).sqrt()
    elif kind == "v_prediction":
        original = abar.sqrt() * sample - (1 - abar).sqrt() * model_output
        epsilon = abar.sqrt() * model_output + (1 - abar).sqrt() * sample
    if scheduler.config.clip_sample:
        limit = scheduler.config.clip_sample_range
        original = original.clamp(-limit, limit)
    sigma = eta * ((1 - abar_previous) / (1 - abar) * (1 - abar / abar_previous)).sqrt()
    mean = abar_previous.sqrt() * original + (1 - abar_previous - sigma**2).sqrt() * epsilon
    return mean, sigma, original


def log_density(value, mean, sigma):
    density = -((value - mean) ** 2) / (2 * sigma**2) - sigma.log() - 0.5 * math.log(2 * math.pi)
    return density.flatten(1).mean(1)


def apply_ddim(scheduler, inputs, steps, eta):
    mean, sigma, original = ddim_step(
        scheduler, inputs["model_output"], inputs["sample"], inputs["timestep"], steps, eta)
    following = mean + sigma * inputs["noise"]
    return {
        "prev_sample": following,
        "pred_original_sample": original,
        "log_prob": log_density(following, mean, sigma),
    }


def guided_noise(unet, inputs, guidance):
    latents, timestep = inputs["latents"], inputs["timestep"]
    text = inputs["encoder_hidden_states"]
    empty = inputs["negative_hidden_states"].expand_as(text)
    added = {
        name: torch.cat([inputs[f"negative_{name}"].expand_as(inputs[name]), inputs[name]])
        for name in ("text_embeds", "time_ids") if name in inputs
    }
    both = unet(
        torch.cat([latents, latents]), torch.cat([timestep, timestep]), torch.cat([empty, text]),
        added_cond_kwargs=added or None,
    ).sample
    unconditional, conditional = both.chunk(2)
    return unconditional + guidance * (conditional - unconditional)


def apply_spo_loss(unet, scheduler, inputs, guidance=5, beta=10, clip=0.1, eta=1, steps=20):
    """`unet` carries the LoRA as PEFT layers; the reference is the same model with them off."""

    def log_probabilities():
        noise = guided_noise(unet, inputs, guidance)
        mean, sigma, _ = ddim_step(
            scheduler, noise, inputs["latents"], inputs["timestep"], steps, eta)
        return [log_density(inputs["next_latents"][:, i], mean, sigma) for i in (0, 1)]

    unet.disable_adapters()
    with torch.no_grad():
        reference = log_probabilities()
    unet.enable_adapters()
    ratio_win, ratio_lose = (
        (tuned - fixed).exp().clamp(1 - clip, 1 + clip)
        for tuned, fixed in zip(log_probabilities(), reference)
    )
    loss = -F.logsigmoid(beta * (ratio_win.log() - ratio_lose.log())).mean()
    return {"loss": loss, "ratio_win": ratio_win, "ratio_lose": ratio_lose}


def apply_gradspo_loss(scheduler, inputs, beta=10, clip=0.1, eta=1, steps=20, target_step=0.5):
    """Of the noises that the tuned, the untuned and the averaged model predict; only `tuned` has gradients."""
    zeros = torch.zeros_like(inputs["tuned"])
    _, sigma, _ = ddim_step(scheduler, zeros, zeros, inputs["timestep"], steps, eta)
    abar = scheduler.alphas_cumprod[inputs["timestep"]].view(-1, 1, 1, 1)
    win, lose = inputs["next_latents"].unbind(1)
    guidance = target_step * (1 - abar).sqrt() * (win - lose) / sigma / 2

    def ratio(target):
        scores = [-(inputs[name] - target).pow(2).flatten(1).mean(1) for name in ("tuned", "reference")]
        return (scores[0] - scores[1]).exp().clamp(1 - clip, 1 + clip)

    ratio_win, ratio_lose = ratio(inputs["average"] - guidance), ratio(inputs["average"] + guidance)
    loss = -F.logsigmoid(beta * (ratio_win.log() - ratio_lose.log())).mean()
    return {"loss": loss, "ratio_win": ratio_win, "ratio_lose": ratio_lose}


# ---------------------------------------------------------------------------------------------
# Diffusion-DPO


def apply_dpo_loss(unet, scheduler, inputs, beta=5000, safeguard=None):
    """`unet` carries the LoRA as PEFT layers; the reference is the same model with them off.

    Both images of a comparison share the timestep and the noise; `beta` is `--beta_dpo` of the authors'
    code and of diffusers' script for SDXL. `safeguard` is mu of Diffusion-SDPO, for each comparison by itself.
    """
    predict, target = noised_batch(unet, scheduler, inputs, ("win_latents", "lose_latents"))

    def errors(output):
        return (output - target).pow(2).flatten(1).mean(1)

    unet.disable_adapters()
    with torch.no_grad():
        win, lose = errors(predict()).chunk(2)
        reference = win - lose
    unet.enable_adapters()
    output = predict()
    win, lose = errors(output).chunk(2)
    outputs = {}
    if safeguard is not None:
        leaf = output.detach().requires_grad_()
        # By autograd, as the gradients of the two errors are defined.
        (slope,) = torch.autograd.grad(errors(leaf).sum(), leaf)
        of_win, of_lose = slope.flatten(1).chunk(2)
        aligned = (of_win * of_lose).sum(1)
        bound = (1 - safeguard) * of_win.pow(2).sum(1) / aligned
        scale = torch.where(aligned > 0, bound, torch.ones_like(bound)).clamp(0, 1)
        lose = lose.detach() + scale * (lose - lose.detach())
        outputs["scale"] = scale
    margin = -0.5 * beta * (win - lose - reference)
    return {"loss": -F.logsigmoid(margin).mean(), "margin": margin} | outputs


def apply_supervised_loss(unet, scheduler, inputs):
    """The denoising error on the winners, with the LoRA on."""
    predict, target = noised_batch(unet, scheduler, inputs, ("win_latents",))
    return {"loss": F.mse_loss(predict(), target)}


def noised_batch(unet, scheduler, inputs, names):
    """What predicts from latents of these names, all with one noise and timestep a row, and its target."""
    latents = torch.cat([inputs[name] for name in names])
    noise, timestep = (torch.cat([inputs[name]] * len(names)) for name in ("noise", "timestep"))
    noised = scheduler.add_noise(latents, noise, timestep)
    kind = scheduler.config.prediction_type
    target = noise if kind == "epsilon" else scheduler.get_velocity(latents, noise, timestep)
    states = torch.cat([inputs["encoder_hidden_states"]] * len(names))
    added = {
        name: torch.cat([inputs[name]] * len(names)) for name in ("text_embeds", "time_ids")
        if name in inputs
    }
    return lambda: unet(noised, timestep, states, added_cond_kwargs=added or None).sample, target


# ---------------------------------------------------------------------------------------------
# LoRA files


ATTENTION_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


def attention_modules(unet):
    return {
        name: module for name, module in unet.named_modules()
        if name.endswith(tuple("." + tail for tail in ATTENTION_PROJECTIONS)) and ".attn" in name
    }


def random_lora(unet, rank, seed, size=0.3):
    """{module: (down [rank, in], up [out, rank])} for every attention projection."""
    source = generator(seed)
    pairs = {}
    for name, module in attention_modules(unet).items():
        rows, columns = module.weight.shape
        down = torch.randn((rank, columns), generator=source) / math.sqrt(columns)
        up = size * torch.randn((rows, rank), generator=source) / math.sqrt(rank)
        pairs[name] = (down, up)
    return pairs


# The ways in which a LoRA file spells module and half; `{0}` is the dotted, `{1}` the underlined
# module name, `{2}` is `down` or `up` and `{3}` the same as PEFT calls it.
LORA_KEYS = {
    "diffusers": "unet.{0}.lora.{2}.weight",
    "peft": "unet.{0}.{3}.weight",
    "adapter": "base_model.model.{0}.{3}.weight",
    "processor": "unet.{0}.{2}.weight",  # `to_q` becomes `processor.to_q_lora`
    "kohya": "lora_unet_{1}.lora_{2}.weight",
}
PEFT_HALF = {"down": "lora_A", "up": "lora_B"}


def lora_key(form, module, half):
    if form == "processor":
        parent, _, tail = module.removesuffix(".0").rpartition(".")
        module = f"{parent}.processor.{tail}_lora"
    return LORA_KEYS[form].format(module, module.replace(".", "_"), half, PEFT_HALF[half])


def lora_weights(pairs, form="diffusers", alphas=None):
    """`pairs` under the keys of one form; `alphas` by module, where the form has them (kohya)."""
    weights = {
        lora_key(form, module, half): value
        for module, pair in pairs.items() for half, value in zip(("down", "up"), pair)
    }
    for module, alpha in (alphas or {}).items():
        weights[f"lora_unet_{module.replace('.', '_')}.alpha"] = torch.tensor(float(alpha))
    return weights


def load_lora(unet, path):
    """Puts a LoRA file on `unet` through diffusers' own loader."""
    state, alphas, metadata = StableDiffusionPipeline.lora_state_dict(
        str(path), unet_config=unet.config, return_lora_metadata=True)
    StableDiffusionPipeline.load_lora_into_unet(
        state, network_alphas=alphas, unet=unet, metadata=metadata)
    return unet


def lora_parameters(unet, form):
    """The parameter that each key of a LoRA file became: {key: parameter}."""
    found = {}
    for name, parameter in unet.named_parameters():
        for half, spelling in PEFT_HALF.items():
            module, _, _ = name.partition(f".{spelling}.")
            if module != name:
                found[lora_key(form, module, half)] = parameter
    return found


# ---------------------------------------------------------------------------------------------
# Complete pipelines


def byte_symbols():
    """The printable character that stands for each byte in CLIP's vocabulary, in its order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable}
    symbols |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    return {byte: symbols[byte] for byte in printable + others}


def save_tokenizer(folder, words, length=77, pad="<|endoftext|>"):
    """A tokenizer folder as Stable Diffusion v1 has it, whose merges build up `words`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    symbol = byte_symbols()
    merges = []
    for word in words:
        letters = [symbol[byte] for byte in word.encode()]
        letters[-1] += "</w>"
        left = letters[0]
        for right in letters[1:]:
            if (left, right) not in merges:
                merges.append((left, right))
            left += right
    tokens = list(symbol.values())
    tokens += [token + "</w>" for token in tokens]
    tokens += list(dict.fromkeys(left + right for left, right in merges))
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    lines = ["#version: 0.2"] + [f"{left} {right}" for left, right in merges]
    special = {
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>", "pad_token": pad,
    }
    settings = special | {
        "add_prefix_space": False, "do_lower_case": True, "errors": "replace",
        "model_max_length": length, "tokenizer_class": "CLIPTokenizer",
    }
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    return vocabulary


PIPELINE_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}

WORDS = "a and on the in background red yellow green blue purple circle square triangle left right".split()


def save_pipeline(folder, seed, unet, vae, text, half=False, **scheduler_config):
    """A complete random Stable Diffusion v1 folder. Rows of `text` that follow from the tokenizer
    are filled in."""
    folder = Path(folder)
    vocabulary = save_tokenizer(
        folder / "tokenizer", WORDS, length=text.get("max_position_embeddings", 77))
    end = vocabulary["<|endoftext|>"]
    text = dict(vocab_size=len(vocabulary), bos_token_id=end - 1, eos_token_id=end,
                pad_token_id=end) | text
    save_model(build_text_encoder(seed, **text), folder / "text_encoder", half)
    save_model(build_unet(seed + 1, cross_attention_dim=text["hidden_size"], **unet),
               folder / "unet", half)
    save_model(build_vae(seed + 2, **vae), folder / "vae", half)
    scheduler(**scheduler_config).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(PIPELINE_INDEX, indent=2) + "\n")
    return folder


PIPELINE_INDEX_XL = PIPELINE_INDEX | {
    "_class_name": "StableDiffusionXLPipeline",
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
}
for absent in ("requires_safety_checker", "safety_checker"):
    del PIPELINE_INDEX_XL[absent]


# The fields that SDXL's own folder has, those of other schedulers among them.
SCHEDULER_XL = {
    "_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.42.1",
    "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "clip_sample": False, "interpolation_type": "linear", "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False,
    "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading",
    "trained_betas": None, "use_karras_sigmas": False,
}


def save_pipeline_xl(folder, seed, unet, vae, text, text_2, zeros=True, half=False):
    """A complete random SDXL folder, with Euler's scheduler. `zeros`: what stands for the empty
    negative prompt; None leaves the field out."""
    folder = Path(folder)
    pooled = text_2["projection_dim"]
    for index, (suffix, rows, pad) in enumerate(
            (("", text, "<|endoftext|>"), ("_2", text_2, "!"))):
        vocabulary = save_tokenizer(
            folder / f"tokenizer{suffix}", WORDS, length=rows.get("max_position_embeddings", 77),
            pad=pad)
        end = vocabulary["<|endoftext|>"]
        rows = dict(vocab_size=len(vocabulary), bos_token_id=end - 1, eos_token_id=end,
                    pad_token_id=vocabulary[pad]) | rows
        save_model(build_text_encoder(seed + index, index == 1, **rows),
                   folder / f"text_encoder{suffix}", half)
    width = text["hidden_size"] + text_2["hidden_size"]
    features = 8
    added = dict(
        addition_embed_type="text_time", addition_time_embed_dim=features,
        projection_class_embeddings_input_dim=pooled + 6 * features, use_linear_projection=True)
    save_model(build_unet(seed + 2, cross_attention_dim=width, **added, **unet),
               folder / "unet", half)
    save_model(build_vae(seed + 3, force_upcast=True, **vae), folder / "vae", half)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(
        json.dumps(SCHEDULER_XL, indent=2) + "\n")
    index = PIPELINE_INDEX_XL | ({} if zeros is None else {"force_zeros_for_empty_prompt": zeros})
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder


def load_pipeline(folder):
    pipeline = DiffusionPipeline.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sample_picture(pipeline, prompt, seed, steps, guidance, size=None, negative=None, eta=0.0):
    """[height, width, 3] in 0...1 as the pipeline gives it for a seeded CPU generator."""
    width, height = size or (None, None)
    return pipeline(
        prompt, negative_prompt=negative, num_inference_steps=steps, guidance_scale=guidance,
        eta=eta, width=width, height=height, generator=generator(seed), output_type="np",
    ).images[0]


# ---------------------------------------------------------------------------------------------
# Case files


def gradients(outputs, weights, named):
    """d sum(output * weight) / d tensor, for every named tensor; zeros where nothing depends on it."""
    loss = sum((outputs[name] * weights[name]).sum() for name in weights)
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(tensor) if gradient is None else gradient
        for (name, tensor), gradient in zip(named.items(), found)
    }


def case_tensors(model, apply, inputs, seed, of_parameters=True, of_inputs=()):
    """Inputs, outputs and gradients of sum(output * grad_output) under their case-file names."""
    inputs = {
        name: value.clone().requires_grad_() if name in of_inputs else value
        for name, value in inputs.items()
    }
    outputs = apply(model, inputs)
    weights = {
        name: normal(seed + i, *value.shape) for i, (name, value) in enumerate(outputs.items())
    }
    named = {f"input.{name}": inputs[name] for name in of_inputs}
    if of_parameters:
        named |= dict(model.named_parameters())
    tensors = {f"input.{name}": value for name, value in inputs.items()}
    tensors |= {f"output.{name}": value for name, value in outputs.items()}
    if named:
        tensors |= {f"grad_output.{name}": value for name, value in weights.items()}
        tensors |= {
            f"grad.{name}": value for name, value in gradients(outputs, weights, named).items()
        }
    return tensors


def save_case(tensors, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, path)


def scheduler(**config):
    standard = dict(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1)
    return DDIMScheduler(**standard | config)
