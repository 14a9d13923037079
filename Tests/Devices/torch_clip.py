"""CLIP's text encoder and the step-aware preference model in plain PyTorch, for machines without transformers.

As in torch_models.py, the names of weights are those of checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import nn

from torch_models import attend, features

ACTIVATIONS = {"quick_gelu": lambda x: x * torch.sigmoid(1.702 * x), "gelu": F.gelu}


class CLIPLayer(nn.Module):
    def __init__(self, config, modulated):
        super().__init__()
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.heads, self.activation = config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]]
        self.self_attn = nn.Module()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self.self_attn, name, nn.Linear(width, width))
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        if modulated:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, causal, condition=None):
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (
            (0, 0, 1, 0, 0, 1) if condition is None
            else self.adaLN_modulation(condition)[:, None].chunk(6, dim=-1))
        part, normed = self.self_attn, self.layer_norm1(x) * (1 + scale) + shift
        x = x + gate * part.out_proj(attend(
            part.q_proj(normed), part.k_proj(normed), part.v_proj(normed), self.heads, causal))
        normed = self.layer_norm2(x) * (1 + mlp_scale) + mlp_shift
        return x + mlp_gate * self.mlp.fc2(self.activation(self.mlp.fc1(normed)))


def layers(config, modulated=False):
    encoder = nn.Module()
    encoder.layers = nn.ModuleList(CLIPLayer(config, modulated) for _ in range(config["num_hidden_layers"]))
    return encoder


class TextTower(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.embeddings = nn.Module()
        self.embeddings.token_embedding = nn.Embedding(config["vocab_size"], width)
        self.embeddings.position_embedding = nn.Embedding(config["max_position_embeddings"], width)
        self.encoder, self.final_layer_norm = layers(config), nn.LayerNorm(width)

    def forward(self, ids):
        x = self.embeddings.token_embedding(ids) + self.embeddings.position_embedding.weight[:ids.shape[1]]
        for layer in self.encoder.layers:
            x = layer(x, causal=True)
        return self.final_layer_norm(x)


class TextEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.text_model = config, TextTower(config)

    def forward(self, ids):
        return self.text_model(ids)


class Preference(nn.Module):
    """CLIP whose vision layers are shifted, scaled and gated by the timestep."""

    def __init__(self, config):
        super().__init__()
        self.config, vision = config, config["vision_config"]
        width, joint, patch = vision["hidden_size"], config["projection_dim"], vision["patch_size"]
        self.text_model = TextTower(config["text_config"])
        tower = self.vision_model = nn.Module()
        tower.embeddings = nn.Module()
        tower.embeddings.class_embedding = nn.Parameter(torch.randn(width))
        tower.embeddings.patch_embedding = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        tower.embeddings.position_embedding = nn.Embedding((vision["image_size"] // patch) ** 2 + 1, width)
        tower.pre_layrnorm, tower.post_layernorm = nn.LayerNorm(width), nn.LayerNorm(width)
        tower.encoder = layers(vision, modulated=True)
        tower.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.t_embedder = nn.Module()
        self.t_embedder.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.visual_projection = nn.Linear(width, joint, bias=False)
        self.text_projection = nn.Linear(config["text_config"]["hidden_size"], joint, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))

    def image(self, pixels, timesteps):
        tower = self.vision_model
        condition = self.t_embedder.mlp(features(timesteps, 256).to(pixels.dtype))
        x = tower.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
        first = tower.embeddings.class_embedding.expand(len(x), 1, -1)
        x = tower.pre_layrnorm(torch.cat([first, x], dim=1) + tower.embeddings.position_embedding.weight)
        for layer in tower.encoder.layers:
            x = layer(x, causal=False, condition=condition)
        shift, scale = tower.adaLN_modulation(condition).chunk(2, dim=-1)
        return self.visual_projection(tower.post_layernorm(x[:, 0]) * (1 + scale) + shift)

    def text(self, ids):
        # The end of the text has the largest id.
        hidden = self.text_model(ids)[torch.arange(len(ids), device=ids.device), ids.argmax(-1)]
        return self.text_projection(hidden)

    def forward(self, pixels, ids, timesteps):
        image, text = F.normalize(self.image(pixels, timesteps), dim=-1), F.normalize(self.text(ids), dim=-1)
        return self.logit_scale.exp() * (image * text).sum(-1)
