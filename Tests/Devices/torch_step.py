"""One iteration of step-by-step preference optimization in plain PyTorch, with the counts of `spo bench spo-step`."""

import math

import torch
import torch.nn.functional as F

CANDIDATES, GUIDANCE, DIVERT, TRAINED_TOGETHER = 4, 5.0, 4, 10


class Iteration:
    """As the published code does it: win and lose each with their own tuned and reference call of the U-Net. The
    reference is the tuned model without its LoRA, for which the published code has a second model."""

    def __init__(self, unet, adapters, autoencoder, encoder, preference, prompts, steps, size):
        self.unet, self.adapters, self.autoencoder = unet, adapters, autoencoder
        self.encoder, self.preference = encoder, preference
        self.prompts, self.steps, self.size = prompts, steps, size
        self.parameters = [part for adapter in adapters for part in (adapter.down, adapter.up)]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=6e-5, weight_decay=1e-4)
        self.device, self.dtype = self.parameters[0].device, self.parameters[0].dtype
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        self.alphas = (1 - betas).cumprod(0).float().to(self.device)
        self.timesteps = [1 + 1000 // steps * number for number in reversed(range(steps))]

    def normal(self, *shape):
        return torch.randn(shape, device=self.device)

    def ids(self, config, count):
        return torch.randint(0, config["vocab_size"], (count, config["max_position_embeddings"]), device=self.device)

    def step(self, latents, timesteps, text):
        """Mean and deviation of the next latents, in single precision."""
        both = self.unet(
            torch.cat([latents, latents]).to(self.dtype), torch.cat([timesteps, timesteps]),
            torch.cat([self.empty.expand_as(text), text]))
        without, noise = getattr(both, "sample", both).float().chunk(2)
        noise = without + GUIDANCE * (noise - without)
        now = self.alphas[timesteps][:, None, None, None]
        then = self.alphas[(timesteps - 1000 // self.steps).clamp(min=0)][:, None, None, None]
        deviation = ((1 - then) / (1 - now) * (1 - now / then)).sqrt()
        original = (latents - (1 - now).sqrt() * noise) / now.sqrt()
        return then.sqrt() * original + (1 - then - deviation**2).clamp(min=0).sqrt() * noise, deviation, original

    def scores(self, latents, ids, timestep):
        image = self.autoencoder.decode((latents / 0.18215).to(self.dtype))
        image = getattr(image, "sample", image)
        side = self.preference.config["vision_config"]["image_size"]
        pixels = F.interpolate(image / 2 + 0.5, size=(side, side), mode="bicubic").clamp(0, 1)
        return self.preference(pixels, ids, torch.full((len(latents),), timestep, device=self.device))

    @torch.no_grad()
    def sample(self, text, ids):
        """(timestep, latents, winner, loser, text), a row for each prompt and diverging step."""
        rows, recorded = torch.arange(self.prompts, device=self.device), []
        shared, candidates, last = self.normal(self.prompts, 4, *self.size), None, None

        def record(originals, timestep):
            scores = self.scores(originals, ids.repeat(CANDIDATES, 1), timestep).view(CANDIDATES, -1)
            recorded.append((
                torch.full_like(rows, last), shared, candidates[scores.argmax(0), rows],
                candidates[scores.argmin(0), rows], text))

        for number, timestep in enumerate(self.timesteps):
            if candidates is None:
                mean, deviation, _ = self.step(shared, torch.full_like(rows, timestep), text)
                if number < DIVERT:
                    shared = mean + deviation * torch.randn_like(mean)
                    continue
            else:
                many = candidates.flatten(0, 1)
                means, deviation, originals = self.step(
                    many, torch.full((len(many),), timestep, device=self.device), text.repeat(CANDIDATES, 1, 1))
                record(originals, timestep)
                chosen = torch.randint(0, CANDIDATES, (self.prompts,), device=self.device)
                shared = candidates[chosen, rows]
                mean, deviation = means.view_as(candidates)[chosen, rows], deviation[:self.prompts]
            candidates, last = mean + deviation * self.normal(CANDIDATES, *shared.shape), timestep
        record(candidates.flatten(0, 1), 0)
        return [torch.cat(parts) for parts in zip(*recorded)]

    def density(self, latents, following, timesteps, text, tuned):
        for adapter in self.adapters:
            adapter.enabled = tuned
        with torch.set_grad_enabled(tuned):
            mean, deviation, _ = self.step(latents, timesteps, text)
        deviation = deviation.clamp(min=1e-4)
        logs = -((following - mean) ** 2) / (2 * deviation**2) - deviation.log() - 0.5 * math.log(2 * math.pi)
        return logs.mean(dim=(1, 2, 3))

    def __call__(self):
        torch.manual_seed(0)
        with torch.no_grad():
            text = self.encoder(self.ids(self.encoder.config, self.prompts))
            self.empty = self.encoder(self.ids(self.encoder.config, 1))
        for adapter in self.adapters:
            adapter.enabled = True
        rows = self.sample(text, self.ids(self.preference.config["text_config"], self.prompts))
        for batch in torch.randperm(len(rows[0]), device=self.device).split(TRAINED_TOGETHER):
            timesteps, latents, winner, loser, prompts = (part[batch] for part in rows)
            logs = []
            for following in (winner, loser):
                fixed = self.density(latents, following, timesteps, prompts, tuned=False)
                tuned = self.density(latents, following, timesteps, prompts, tuned=True)
                logs.append((tuned - fixed).exp().clamp(0.9, 1.1).log())
            (-F.logsigmoid(10 * (logs[0] - logs[1])).mean()).backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
