"""One iteration of SPO in PyTorch, for bench_torch.py: sample with candidates, score, train on every
pair."""

import torch
import torch.nn.functional as F
from peft import LoraConfig

import reference as ref

STEPS, CANDIDATES, GUIDANCE, DIVERT, ETA, TRAIN_BATCH = 20, 4, 5.0, 4, 1.0, 10


def add_lora(unet, rank=4):
    """Adapters on every projection of every attention; their matrices by name."""
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian",
        target_modules=list(ref.ATTENTION_PROJECTIONS)))
    return {name: value for name, value in unet.named_parameters() if value.requires_grad}


class Iteration:
    """As the published code does it: prompts encoded for each batch, the reference a second model,
    win and lose each with their own tuned and reference call."""

    def __init__(self, models, prompts, size_for):
        self.prompts = prompts
        self.scheduler, self.vae = models.scheduler(), models.vae()
        self.text_encoder, self.preference = models.text_encoder(), models.preference()
        self.unet, self.reference = models.unet(), models.unet().requires_grad_(False)
        self.size = size_for(self.unet.config)
        self.trained = list(add_lora(self.unet).values())
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=6e-5, betas=(0.9, 0.999), weight_decay=1e-4, eps=1e-8)
        self.scheduler.set_timesteps(STEPS)
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
        self.train(self.sample(ids, empty, text), empty)
