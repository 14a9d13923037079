"""Golden cases of the method: one DDIM step, the loss of step-by-step preference optimization, and that of
Diffusion-DPO.

Writes ddim-*, spo-*, gradspo and dpo-* beside itself; ../models/README.md has the schema, README.md the rest.
"""

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Reference"))

import torch
from safetensors.torch import save_file

import reference as ref


def ddim_case(folder, seed, timesteps, steps, eta, config, absent=()):
    scheduler = ref.scheduler(**config)
    scheduler.save_pretrained(folder / "scheduler")
    path = folder / "scheduler" / "scheduler_config.json"
    kept = {name: value for name, value in json.loads(path.read_text()).items() if name not in absent}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    shape = (len(timesteps), 4, 3, 5)
    inputs = {
        "model_output": ref.normal(seed, *shape),
        "sample": ref.normal(seed + 1, *shape),
        "noise": ref.normal(seed + 2, *shape),
        "timestep": torch.tensor(timesteps),
    }
    outputs = ref.apply_ddim(scheduler, inputs, steps, eta)
    save_settings(folder, steps=steps, eta=eta)
    ref.save_case(
        {f"input.{name}": value for name, value in inputs.items()}
        | {f"output.{name}": value for name, value in outputs.items()},
        folder / "case.safetensors")


DDIM = {
    "ddim-v1": dict(
        seed=1000, timesteps=[951, 901, 501, 51, 1], steps=20, eta=1.0, config={}),
    # The defaults that a file may leave out: samples are clipped.
    "ddim-defaults": dict(
        seed=1010, timesteps=[951, 500, 100], steps=10, eta=0.5, config=dict(clip_sample=True),
        absent=("clip_sample", "clip_sample_range", "prediction_type", "thresholding")),
    "ddim-velocity": dict(
        seed=1020, timesteps=[980, 20], steps=50, eta=1.0,
        config=dict(prediction_type="v_prediction", beta_schedule="linear", beta_start=0.0001,
                    beta_end=0.02)),
    "ddim-sample": dict(
        seed=1030, timesteps=[750, 250], steps=4, eta=0.3,
        config=dict(prediction_type="sample", clip_sample=True, clip_sample_range=0.8)),
}


def spo_case(folder, seed, form, timesteps, settings, config, rank, size, alphas=None):
    unet = ref.save_model(ref.build_unet(seed, **config), folder / "unet", half=True)
    scheduler = ref.scheduler(
        prediction_type="v_prediction" if folder.name.endswith("velocity") else "epsilon")
    scheduler.save_pretrained(folder / "scheduler")
    pairs = ref.random_lora(unet, rank, seed + 1, size)
    alphas = {name: alphas for name in pairs} if alphas else None
    save_file(ref.lora_weights(pairs, form, alphas), folder / "lora.safetensors",
              metadata={"format": "pt"})

    batch, length, channels = len(timesteps), 7, config["cross_attention_dim"]
    inputs = {
        "latents": ref.normal(seed + 2, batch, 4, 8, 8),
        "timestep": torch.tensor(timesteps),
        "encoder_hidden_states": ref.normal(seed + 3, batch, length, channels),
        "negative_hidden_states": ref.normal(seed + 4, 1, length, channels),
    }
    def step():
        noise = ref.guided_noise(unet, inputs, settings["guidance"])
        mean, sigma, _ = ref.ddim_step(
            scheduler, noise, inputs["latents"], inputs["timestep"], settings["steps"],
            settings["eta"])
        return mean, sigma

    with torch.no_grad():  # next samples from the untuned mean (first row) to the tuned (last)
        untuned, sigma = step()
        ref.load_lora(unet, folder / "lora.safetensors")
        tuned, _ = step()
        between = torch.linspace(0, 1, batch).view(-1, 1, 1, 1, 1)
        share = torch.tensor([1, 0.5]).view(2, 1, 1, 1) * between
        width = torch.tensor([1, 3]).view(2, 1, 1, 1) * sigma[:, None]
        inputs["next_latents"] = (
            untuned[:, None] + share * (tuned - untuned)[:, None]
            + width * ref.normal(seed + 5, batch, 2, 4, 8, 8))

    outputs = ref.apply_spo_loss(unet, scheduler, inputs, **settings)
    found = ref.gradients(outputs, {"loss": torch.ones(())}, ref.lora_parameters(unet, form))
    save_settings(folder, **settings)
    ref.save_case(
        {f"input.{name}": value for name, value in inputs.items()}
        | {f"output.{name}": value for name, value in outputs.items()}
        | {f"grad.{name}": value for name, value in found.items()},
        folder / "case.safetensors")
    print(folder.name, {name: value.tolist() for name, value in outputs.items()})


def gradspo_case(folder, seed, timesteps):
    folder.mkdir(parents=True)
    scheduler = ref.scheduler()
    scheduler.save_pretrained(folder / "scheduler")
    batch = len(timesteps)
    inputs = {"timestep": torch.tensor(timesteps), "next_latents": ref.normal(seed, batch, 2, 4, 3, 5)}
    reference = ref.normal(seed + 1, batch, 4, 3, 5)
    for index, name in enumerate(("tuned", "average")):
        inputs[name] = reference + 0.1 * ref.normal(seed + 2 + index, batch, 4, 3, 5)
    inputs["reference"] = reference
    tensors = in_double(inputs)
    tensors["tuned"].requires_grad_()
    outputs = ref.apply_gradspo_loss(scheduler, tensors)
    outputs["loss"].backward()
    ref.save_case(
        {f"input.{name}": value for name, value in inputs.items()}
        | {f"output.{name}": value.detach().float() for name, value in outputs.items()}
        | {"grad.tuned": tensors["tuned"].grad.float()}, folder / "case.safetensors")
    print(folder.name, {name: value.tolist() for name, value in outputs.items()})


def dpo_case(folder, seed, form, timesteps, beta, config, rank, size, prediction="epsilon",
             updates=0):
    unet = ref.save_model(ref.build_unet(seed, **config), folder / "unet", half=True)
    scheduler = ref.scheduler(prediction_type=prediction)
    scheduler.save_pretrained(folder / "scheduler")
    save_file(ref.lora_weights(ref.random_lora(unet, rank, seed + 1, size), form),
              folder / "lora.safetensors", metadata={"format": "pt"})
    ref.load_lora(unet, folder / "lora.safetensors")

    inputs = dpo_inputs(seed + 2, timesteps, config)
    outputs = ref.apply_dpo_loss(unet.double(), scheduler, in_double(inputs), beta)
    found = ref.gradients(outputs, {"loss": torch.ones(())}, ref.lora_parameters(unet, form))
    save_settings(folder, beta=beta)
    ref.save_case(
        {f"input.{name}": value for name, value in inputs.items()}
        | {f"output.{name}": value.float() for name, value in outputs.items()}
        | {f"grad.{name}": value.float() for name, value in found.items()},
        folder / "case.safetensors")
    print(folder.name, {name: value.tolist() for name, value in outputs.items()})
    losses = {
        "supervised": ref.apply_supervised_loss(unet, scheduler, in_double(inputs)),
        "safeguarded": ref.apply_dpo_loss(unet, scheduler, in_double(inputs), beta, safeguard=0.5),
    }
    tensors = {}
    for kind, outputs in losses.items():
        found = ref.gradients(outputs, {"loss": torch.ones(())}, ref.lora_parameters(unet, form))
        tensors |= {f"{kind}.{name}": value.float() for name, value in outputs.items()}
        tensors |= {f"{kind}.grad.{name}": value.float() for name, value in found.items()}
    ref.save_case(tensors, folder / "losses.safetensors")
    print(folder.name, "scale", losses["safeguarded"]["scale"].tolist())
    if updates:
        dpo_updates(folder, seed + 7, form, unet, scheduler, beta, config, updates)


def dpo_inputs(seed, timesteps, config):
    batch = len(timesteps)
    inputs = {
        "timestep": torch.tensor(timesteps),
        "encoder_hidden_states": ref.normal(seed, batch, 7, config["cross_attention_dim"]),
    }
    for index, name in enumerate(("win_latents", "lose_latents", "noise")):
        inputs[name] = ref.normal(seed + 1 + index, batch, 4, 8, 8)
    if "addition_embed_type" in config:
        inputs["text_embeds"] = ref.normal(seed + 4, batch, 14)
        inputs["time_ids"] = torch.tensor([[64.0, 64, 0, 0, 64, 64]] * batch)
    return inputs


def in_double(tensors):
    return {name: value.double() if value.is_floating_point() else value
            for name, value in tensors.items()}


def dpo_updates(folder, seed, form, unet, scheduler, beta, config, count):
    """Several updates by PyTorch's AdamW and its clipping, as diffusers' script makes them."""
    parameters = ref.lora_parameters(unet, form)
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-3, weight_decay=1e-2)
    tensors = {}
    for update in range(count):
        timesteps = [(137 * update + 311 * row) % 1000 for row in range(2)]
        inputs = dpo_inputs(seed + 10 * update, timesteps, config)
        loss = ref.apply_dpo_loss(unet, scheduler, in_double(inputs), beta)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        optimizer.step()
        tensors |= {f"{update}.{name}": value for name, value in inputs.items()}
        tensors[f"{update}.loss"] = loss.float()
    tensors |= {f"after.{name}": value.float() for name, value in parameters.items()}
    ref.save_case(tensors, folder / "updates.safetensors")


def save_settings(folder, **settings):
    (folder / "settings.json").write_text(json.dumps(settings) + "\n")


UNET = dict(
    sample_size=8, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=6,
    attention_head_dim=2)

SPO = {
    "spo-v1": dict(
        seed=1100, form="diffusers", rank=2, size=0.052, timesteps=[951, 701, 501, 251, 51, 1],
        settings=dict(guidance=5.0, beta=10.0, clip=0.1, eta=1.0, steps=20), config=UNET),
    "spo-kohya": dict(
        seed=1120, form="kohya", rank=4, size=0.2, alphas=2, timesteps=[901, 301, 101],
        settings=dict(guidance=1.0, beta=500.0, clip=0.2, eta=0.7, steps=10),
        config=UNET | dict(cross_attention_dim=5, attention_head_dim=[1, 4])),
    "spo-velocity": dict(
        seed=1140, form="peft", rank=1, size=0.15, timesteps=[951, 401],
        settings=dict(guidance=7.5, beta=10.0, clip=0.1, eta=1.0, steps=20),
        config=UNET | dict(block_out_channels=(4, 4), use_linear_projection=True)),
}

GRADSPO = {"gradspo": dict(seed=1300, timesteps=[951, 601, 301, 51, 1])}

DPO = {
    "dpo-v1": dict(
        seed=1200, form="diffusers", rank=2, size=0.02, timesteps=[999, 700, 301, 20, 0],
        beta=5000.0, config=UNET, updates=10),
    "dpo-xl": dict(
        seed=1220, form="peft", rank=1, size=0.02, timesteps=[950, 450, 50], beta=2000.0, updates=10,
        config=UNET | dict(
            block_out_channels=(4, 4), use_linear_projection=True, addition_embed_type="text_time",
            addition_time_embed_dim=8, projection_class_embeddings_input_dim=14 + 48)),
    "dpo-velocity": dict(
        seed=1240, form="kohya", rank=2, size=0.02, timesteps=[820, 130], beta=500.0,
        prediction="v_prediction", config=UNET),
}


def main():
    torch.set_num_threads(1)
    for cases, make in (
            (DDIM, ddim_case), (SPO, spo_case), (GRADSPO, gradspo_case), (DPO, dpo_case)):
        for name, settings in cases.items():
            shutil.rmtree(HERE / name, ignore_errors=True)
            make(HERE / name, **settings)


if __name__ == "__main__":
    main()
