"""LoCon and DoRA files for the U-Net of generate.py, and the output that peft gives with each.

Writes dora-peft, dora-kohya, locon, locon-sgm, locon-mid, locon-dora and hostile kinds beside itself, and
kinds.safetensors with the outputs. Run generate.py first.
"""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

import sys

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Reference"))

import reference as ref

ATTENTION = list(ref.ATTENTION_PROJECTIONS)
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "time_emb_proj", "proj_in", "conv", "conv_in"]
RANK, ALPHA = 2, 3


def fresh():
    return UNet2DConditionModel.from_pretrained(HERE / "unet", dtype=torch.float32)


def adapted(targets, seed, **options):
    """A U-Net with random adapters, and their state by peft's names."""
    unet = fresh()
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, **options))
    source = ref.generator(seed)
    for name, parameter in unet.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=source))
        elif "magnitude" in name:
            parameter.mul_(1 + 0.2 * torch.randn(parameter.shape, generator=source))
    return unet, get_peft_model_state_dict(unet)


def kohya(state, alpha=ALPHA):
    """The same under the names of kohya and LyCORIS."""
    found = {}
    for key, value in state.items():
        for ending, new in [
            (".lora_A.weight", "lora_down.weight"), (".lora_B.weight", "lora_up.weight"),
            (".lora_magnitude_vector", "dora_scale"),
        ]:
            if not key.endswith(ending):
                continue
            module = "lora_unet_" + key.removesuffix(ending).replace(".", "_")
            if new == "dora_scale":
                value = value.reshape([-1] + [1] * (state[key.replace(ending, ".lora_A.weight")].ndim - 1))
            found[f"{module}.{new}"] = value
            found[f"{module}.alpha"] = torch.tensor(float(alpha))
    return found


def write(name, weights):
    save_file({key: value.detach().contiguous() for key, value in weights.items()},
              HERE / f"{name}.safetensors", metadata={"format": "pt"})


def tucker(unet, seed):
    """down 1 x 1, mid k x k, up 1 x 1 for every convolution of 3 x 3, and the U-Net with them merged.

    One convolution is checked against running the three one after another.
    """
    source = ref.generator(seed)
    weights = {}
    for name, module in unet.named_modules():
        if not isinstance(module, torch.nn.Conv2d) or module.kernel_size != (3, 3):
            continue
        outputs, inputs = module.weight.shape[:2]
        down = 0.5 * torch.randn((RANK, inputs, 1, 1), generator=source)
        mid = 0.5 * torch.randn((RANK, RANK, 3, 3), generator=source)
        up = 0.5 * torch.randn((outputs, RANK, 1, 1), generator=source)
        x = torch.randn((1, inputs, 6, 6), generator=source)
        convolve = torch.nn.functional.conv2d
        options = dict(stride=module.stride, padding=module.padding)
        stepwise = module(x) + ALPHA / RANK * convolve(
            convolve(convolve(x, down), mid, **options), up)
        module.weight += ALPHA / RANK * torch.einsum(
            "or,rqhw,qi->oihw", up[:, :, 0, 0], mid, down[:, :, 0, 0])
        assert (module(x) - stepwise).abs().max() < 1e-4
        stem = "lora_unet_" + name.replace(".", "_")
        weights |= {
            f"{stem}.lora_down.weight": down, f"{stem}.lora_mid.weight": mid,
            f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(float(ALPHA)),
        }
    return weights


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    inputs = {
        name.removeprefix("input."): value
        for name, value in load_file(HERE / "case.safetensors").items() if name.startswith("input.")
    }
    tensors = {}

    def record(name, unet):
        tensors[f"output.{name}"] = ref.apply_unet(unet, inputs)["sample"]

    # peft's own file has no alpha: the header says it, so that the files here carry it in the up matrices.
    def scaled(state):
        return {
            f"unet.{key}": value * (ALPHA / RANK if ".lora_B" in key else 1)
            for key, value in state.items()
        }

    unet, state = adapted(ATTENTION, 2100, use_dora=True)
    record("dora-peft", unet)
    record("dora-kohya", unet)
    write("dora-peft", scaled(state))
    write("dora-kohya", kohya(state))

    unet, state = adapted(ATTENTION + CONVOLUTIONS, 2101)
    record("locon", unet)
    record("locon-peft", unet)
    write("locon", kohya(state))
    write("locon-peft", scaled(state))

    unet, state = adapted(ATTENTION + CONVOLUTIONS, 2102, use_dora=True)
    record("locon-dora", unet)
    write("locon-dora", kohya(state))

    unet = fresh()
    weights = tucker(unet, 2103)
    record("locon-mid", unet)
    write("locon-mid", weights)
    ref.save_case(tensors, HERE / "kinds.safetensors")


if __name__ == "__main__":
    main()
