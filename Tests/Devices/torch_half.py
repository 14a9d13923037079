"""Gradients of full-size models by PyTorch on the CPU, activations in float16: what full_size.py compares with.

What the program computes with `device_precision: f16`, as PyTorch does it: weights and activations in float16, what
enters and leaves a model, its factors of a LoRA and its loss in float32. The gradient that enters is multiplied by a
power of two so that its largest number is 32 to 64, and those that leave are divided by it.
"""

import json

import torch
from safetensors.torch import load_file, save_file

from torch_models import UNet, add_lora
from torch_weights import read_safetensors


class Scaled(torch.autograd.Function):
    """In float16 on its way in, and in float32 on its way back."""

    @staticmethod
    def forward(context, x, state):
        context.state = state
        return x.float()

    @staticmethod
    def backward(context, gradient):
        # The largest is a half to one times 2^exponent. One scale for all calls, as their gradients are added up.
        _, exponent = torch.frexp(gradient.abs().max())
        scale = context.state.setdefault("scale", 2.0 ** (6 - exponent.item()))
        return (gradient * scale).half(), None


def unet_lora(folder, expected):
    given = load_file(expected)
    with torch.device("meta"):
        unet = UNet(json.loads((folder / "unet/config.json").read_text()))
    weights = {}
    for path in sorted((folder / "unet").glob("*.safetensors")):
        weights |= read_safetensors(path)
    unet.load_state_dict(weights, assign=True)
    add_lora(unet, 4)
    trained = {}
    for name, module in unet.named_modules():
        if hasattr(module, "down") and hasattr(module, "up") and hasattr(module, "linear"):
            for half in ("down", "up"):
                value = torch.nn.Parameter(given[f"0.adapter.{name}.{half}"])
                setattr(module, half, value)
                trained[f"{name}.{half}"] = value
    inputs = [given["0.sample"].permute(0, 3, 1, 2).half(), given["0.timesteps"], given["0.hidden_states"].half()]
    if "0.pooled_text" in given:
        inputs += [given["0.pooled_text"].half(), given["0.sizes"]]
    state = {}
    output = Scaled.apply(unet(*inputs), state)
    output.square().mean().backward()
    found = {f"0.grad.{name}": value.grad / state["scale"] for name, value in trained.items()}
    return given | found


def preference_loss(folder, given):
    import reference as ref
    from transformers import CLIPConfig

    inputs = load_file(given)
    with torch.device("meta"):
        model = ref.StepAwareCLIP(CLIPConfig.from_pretrained(folder))
    model.to_empty(device="cpu").half()
    for module in (model.text_model.embeddings, model.vision_model.embeddings):
        module.position_ids.copy_(torch.arange(module.position_ids.numel())[None])
    missing = model.load_state_dict(read_safetensors(folder / "model.safetensors"), strict=False)
    assert not missing.unexpected_keys and all("position_ids" in key for key in missing.missing_keys), missing
    # In single precision for the loss.
    state, image, text = {}, model.image_embedding, model.text_embedding
    model.image_embedding = lambda pixels, timestep: Scaled.apply(image(pixels.half(), timestep), state)
    model.text_embedding = lambda ids: Scaled.apply(text(ids), state)
    logits = torch.nn.Parameter(model.logit_scale.detach().float())
    model.logit_scale = logits
    outputs = ref.apply_spm_loss(model, inputs)
    outputs["loss"].backward()
    found = {
        f"grad.{name}": torch.zeros_like(value, dtype=torch.float) if value.grad is None
        else value.grad.float() / (1 if value is logits else state["scale"])
        for name, value in model.named_parameters()}
    return outputs | found


OPERATIONS = {"unet-lora": unet_lora, "spm.loss": preference_loss}


def write(operation, folder, source, result):
    """Arrays named as the program names its own.

    source: what the program saved, with its inputs, for unet-lora; for spm.loss the inputs
    """
    found = OPERATIONS[operation](folder, source)
    save_file({name: value.detach().contiguous() for name, value in found.items()}, result)
