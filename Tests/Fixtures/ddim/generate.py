"""Writes schedulers.json: timesteps and whole sampling runs of diffusers' schedulers.

Made with diffusers 0.42.1 and torch 2.13.0. The model is a table of outputs, one a call, the same for
all runs; eight numbers stand for a sample. `spo` holds DDIM steps in double precision.
"""

import json
import math
import pathlib

import diffusers
import torch

SIZE, CALLS = 8, 52
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
SD_DDIM = dict(SD, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
KARRAS = dict(SD, use_karras_sigmas=True)
ZERO = dict(SD, rescale_betas_zero_snr=True, prediction_type="v_prediction",
            timestep_spacing="trailing")
TRAINED = [0.001 * (1 + i / 7) for i in range(60)]
RUNS = [  # class, settings, steps, eta
    ("DDIMScheduler", SD_DDIM, 20, 0.0), ("DDIMScheduler", SD_DDIM, 20, 1.0),
    ("DDIMScheduler", SD_DDIM, 7, 0.5), ("DDIMScheduler", SD_DDIM, 1, 0.0),
    ("DDIMScheduler", {}, 10, 0.0), ("DDIMScheduler", dict(clip_sample_range=0.4), 10, 1.0),
    ("DDIMScheduler", dict(SD, timestep_spacing="linspace", clip_sample=False), 13, 0.3),
    ("DDIMScheduler", dict(SD, timestep_spacing="trailing", clip_sample=False), 30, 0.0),
    ("DDIMScheduler", dict(beta_schedule="squaredcos_cap_v2"), 11, 1.0),
    ("DDIMScheduler", dict(SD, prediction_type="v_prediction", clip_sample=False), 9, 1.0),
    ("DDIMScheduler", dict(SD, prediction_type="sample", clip_sample=False), 9, 1.0),
    ("DDIMScheduler", dict(ZERO, clip_sample=False), 8, 0.0),
    ("DDIMScheduler", dict(trained_betas=TRAINED, num_train_timesteps=60), 6, 1.0),
    ("DDIMScheduler", dict(num_train_timesteps=250, steps_offset=1), 50, 0.0),
    ("PNDMScheduler", dict(SD, skip_prk_steps=True, steps_offset=1), 20, 0.0),
    ("PNDMScheduler", dict(SD, skip_prk_steps=True, steps_offset=1), 50, 0.0),
    ("PNDMScheduler", dict(skip_prk_steps=True, set_alpha_to_one=True), 3, 0.0),
    ("PNDMScheduler", dict(skip_prk_steps=True), 2, 0.0),
    ("PNDMScheduler", dict(skip_prk_steps=True), 1, 0.0),
    ("PNDMScheduler", dict(SD, skip_prk_steps=True, prediction_type="v_prediction"), 9, 0.0),
    ("PNDMScheduler", dict(SD, skip_prk_steps=True, timestep_spacing="trailing"), 12, 0.0),
    ("PNDMScheduler", dict(SD, skip_prk_steps=True, timestep_spacing="linspace"), 12, 0.0),
    ("EulerDiscreteScheduler", {}, 10, 0.0), ("EulerDiscreteScheduler", SD, 20, 0.0),
    ("EulerDiscreteScheduler", dict(SD, timestep_spacing="leading", steps_offset=1), 30, 0.0),
    ("EulerDiscreteScheduler", dict(SD, timestep_spacing="trailing"), 8, 0.0),
    ("EulerDiscreteScheduler", dict(SD, prediction_type="v_prediction"), 8, 0.0),
    ("EulerDiscreteScheduler", dict(SD, prediction_type="sample"), 8, 0.0),
    ("EulerDiscreteScheduler", dict(SD, final_sigmas_type="sigma_min"), 5, 0.0),
    ("EulerDiscreteScheduler", KARRAS, 15, 0.0),
    ("EulerDiscreteScheduler", dict(KARRAS, sigma_min=0.05, sigma_max=10.0), 6, 0.0),
    ("EulerDiscreteScheduler", ZERO, 8, 0.0), ("EulerDiscreteScheduler", SD, 1, 0.0),
    ("DPMSolverMultistepScheduler", {}, 10, 0.0), ("DPMSolverMultistepScheduler", SD, 20, 0.0),
    ("DPMSolverMultistepScheduler", dict(SD, timestep_spacing="leading", steps_offset=1), 25, 0.0),
    ("DPMSolverMultistepScheduler", dict(SD, timestep_spacing="trailing"), 8, 0.0),
    ("DPMSolverMultistepScheduler", dict(SD, solver_order=1), 6, 0.0),
    ("DPMSolverMultistepScheduler", dict(SD, solver_type="heun"), 16, 0.0),
    ("DPMSolverMultistepScheduler", dict(SD, prediction_type="v_prediction"), 6, 0.0),
    ("DPMSolverMultistepScheduler", dict(SD, prediction_type="sample"), 6, 0.0),
    ("DPMSolverMultistepScheduler", dict(SD, final_sigmas_type="sigma_min"), 16, 0.0),
    ("DPMSolverMultistepScheduler",
     dict(SD, final_sigmas_type="sigma_min", lower_order_final=False, euler_at_final=True), 9, 0.0),
    ("DPMSolverMultistepScheduler",
     dict(SD, final_sigmas_type="sigma_min", lower_order_final=False), 9, 0.0),
    ("DPMSolverMultistepScheduler", KARRAS, 20, 0.0),
    ("DPMSolverMultistepScheduler",
     dict(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1), 10, 0.0),
    ("DPMSolverMultistepScheduler", ZERO, 8, 0.0), ("DPMSolverMultistepScheduler", SD, 1, 0.0),
]


def digits(values, count=9):
    return [float(f"{value:.{count}g}") for value in values]


generator = torch.Generator().manual_seed(1)
START = torch.randn(SIZE, generator=generator)
OUTPUTS = torch.randn(CALLS, SIZE, generator=generator)
NOISE = torch.randn(CALLS, SIZE, generator=generator)


def run(name, settings, steps, eta):
    scheduler = getattr(diffusers, name)(**settings)
    scheduler.set_timesteps(steps)
    sample = START * scheduler.init_noise_sigma
    samples, inputs = [], []
    for call, timestep in enumerate(scheduler.timesteps):
        inputs.append(float(scheduler.scale_model_input(sample, timestep)[0] / sample[0]))
        extra = dict(eta=eta, variance_noise=NOISE[call]) if name == "DDIMScheduler" else {}
        sample = scheduler.step(OUTPUTS[call], timestep, sample, **extra).prev_sample
        samples.append(digits(sample.tolist()))
    kept = [0, len(samples) // 2, len(samples) - 2, len(samples) - 1] if len(samples) > 10 else None
    return {
        "class": name, "settings": settings, "steps": steps, "eta": eta,
        "timesteps": digits(scheduler.timesteps.tolist()), "input_scales": digits(inputs),
        "samples": [s if kept is None or i in kept else None for i, s in enumerate(samples)],
    }


def alpha_bar(settings):
    values = diffusers.DDIMScheduler(**settings).alphas_cumprod.tolist()
    places = sorted({0, len(values) // 2, len(values) - 1} | set(range(0, len(values), 37)))
    return {"settings": settings, "places": places, "values": digits([values[i] for i in places])}


def spo_step(settings, timestep, steps, eta):
    """DDIM with eta (Song et al. 2021, equation 12) for epsilon prediction without clipping."""
    bars = diffusers.DDIMScheduler(**settings).alphas_cumprod.double()
    x, m, z = START.double(), OUTPUTS[0].double(), NOISE[0].double()
    a, b = bars[timestep], bars[max(timestep - len(bars) // steps, 0)]
    original = (x - (1 - a).sqrt() * m) / a.sqrt()
    sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)).sqrt()
    mean = b.sqrt() * original + (1 - b - sigma**2).sqrt() * m
    after = mean + sigma * z
    log_prob = None
    if sigma > 0:
        density = -((after - mean) ** 2) / (2 * sigma**2) - sigma.log() - math.log(math.sqrt(2 * math.pi))
        log_prob = float(density.mean())
    return {"timestep": timestep, "steps": steps, "eta": eta, "sigma": float(sigma),
            "original": digits(original.tolist()), "after": digits(after.tolist()),
            "log_prob": log_prob}


fixture = {
    "diffusers": diffusers.__version__,
    "start": digits(START.tolist()),
    "outputs": [digits(row.tolist()) for row in OUTPUTS],
    "noise": [digits(row.tolist()) for row in NOISE],
    "alpha_bar": [alpha_bar(s) for s in [
        {}, SD, dict(beta_schedule="squaredcos_cap_v2"), dict(SD, rescale_betas_zero_snr=True),
        dict(trained_betas=TRAINED), dict(num_train_timesteps=7), dict(num_train_timesteps=1)]],
    "runs": [run(*r) for r in RUNS],
    "spo_settings": SD_DDIM,
    "spo": [spo_step(SD_DDIM, t, n, eta) for t, n, eta in [
        (951, 20, 1.0), (501, 20, 1.0), (51, 20, 1.0), (1, 20, 1.0), (0, 20, 1.0), (901, 10, 0.5),
        (501, 20, 0.0)]],
}
path = pathlib.Path(__file__).parent / "schedulers.json"
path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
