"""U-Net, autoencoder and LoRA in plain PyTorch, for machines without diffusers.

Made from the configurations that diffusers writes, with its names of weights, so that the state of a module is a
checkpoint. gpu.py compares what they compute with what the program does.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def features(timesteps, width):
    """Cosines, then sines."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=timesteps.device) / half)
    angles = timesteps[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def attend(q, k, v, heads, causal=False):
    """[batch, tokens, width] each, and the result too."""
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


class Attention(nn.Module):
    def __init__(self, width, context, heads, bias=False):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=bias)
        self.to_k = nn.Linear(context, width, bias=bias)
        self.to_v = nn.Linear(context, width, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x, context):
        return self.to_out[0](attend(self.to_q(x), self.to_k(context), self.to_v(context), self.heads))


class GEGLU(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class TransformerBlock(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1, self.attn2 = Attention(width, width, heads), Attention(width, context, heads)
        self.ff = nn.Module()
        self.ff.net = nn.ModuleList([GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x, context):
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff.net[2](self.ff.net[0](self.norm3(x)))


class Transformer(nn.Module):
    def __init__(self, width, context, heads, depth, groups, linear):
        super().__init__()
        self.linear = linear
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in, self.proj_out = (
            nn.Linear(width, width) if linear else nn.Conv2d(width, width, 1) for _ in range(2))
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(width, context, heads) for _ in range(depth))

    def forward(self, x, context):
        batch, width, height, columns = x.shape
        hidden = self.norm(x)
        if not self.linear:
            hidden = self.proj_in(hidden)
        hidden = hidden.permute(0, 2, 3, 1).reshape(batch, height * columns, width)
        if self.linear:
            hidden = self.proj_in(hidden)
        for block in self.transformer_blocks:
            hidden = block(hidden, context)
        if self.linear:
            hidden = self.proj_out(hidden)
        hidden = hidden.reshape(batch, height, columns, width).permute(0, 3, 1, 2)
        return x + (hidden if self.linear else self.proj_out(hidden))


class Residual(nn.Module):
    """Without a timestep in autoencoders."""

    def __init__(self, inputs, outputs, groups, time=None, eps=1e-5):
        super().__init__()
        self.norm1, self.norm2 = (nn.GroupNorm(groups, width, eps=eps) for width in (inputs, outputs))
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if time:
            self.time_emb_proj = nn.Linear(time, outputs)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, time=None):
        hidden = self.conv1(F.silu(self.norm1(x)))
        if time is not None:
            hidden = hidden + self.time_emb_proj(F.silu(time))[:, :, None, None]
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(hidden)))


class Sampler(nn.Module):
    """Half or twice the sides."""

    def __init__(self, width, up, padding=1):
        super().__init__()
        self.up, self.padding = up, padding
        self.conv = nn.Conv2d(width, width, 3, stride=1 if up else 2, padding=1 if up else padding)

    def forward(self, x):
        if self.up:
            return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv(x if self.padding else F.pad(x, (0, 1, 0, 1)))


class Embedding(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, width), nn.Linear(width, width)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class UNet(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        widths, groups = config["block_out_channels"], config.get("norm_num_groups", 32)
        count, layers = len(widths), config["layers_per_block"]
        each = lambda value: list(value) if isinstance(value, (list, tuple)) else [value] * count
        heads, depths = each(config["attention_head_dim"]), each(config.get("transformer_layers_per_block", 1))
        linear, time = config.get("use_linear_projection", False), 4 * widths[0]

        def block(kind, sizes, level, up=None):
            part = nn.Module()
            part.resnets = nn.ModuleList(Residual(*size, groups, time) for size in sizes)
            part.attentions = nn.ModuleList(
                Transformer(width, config["cross_attention_dim"], heads[level], depths[level], groups, linear)
                for _, width in sizes[:len(sizes) - (kind == "mid")]) if kind != "plain" else None
            return part

        kind = lambda name: "cross" if name.startswith("CrossAttn") else "plain"
        self.conv_in = nn.Conv2d(config.get("in_channels", 4), widths[0], 3, padding=1)
        self.time_embedding = Embedding(widths[0], time)
        if config.get("addition_embed_type"):
            self.add_embedding = Embedding(config["projection_class_embeddings_input_dim"], time)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for level, name in enumerate(config["down_block_types"]):
            sizes = [(width if not j else widths[level], widths[level]) for j in range(layers)]
            width = widths[level]
            part = block(kind(name), sizes, level)
            last = level == count - 1
            part.downsamplers = nn.ModuleList([] if last else [Sampler(width, up=False)])
            self.down_blocks.append(part)
            skips += [width] * (layers + (not last))
        self.mid_block = block("mid", [(width, width)] * 2, count - 1)
        for place, name in enumerate(config["up_block_types"]):
            level = count - 1 - place
            sizes = []
            for _ in range(layers + 1):
                sizes.append((width + skips.pop(), widths[level]))
                width = widths[level]
            part = block(kind(name), sizes, level)
            part.upsamplers = nn.ModuleList([] if level == 0 else [Sampler(width, up=True)])
            self.up_blocks.append(part)
        self.conv_norm_out = nn.GroupNorm(groups, width)
        self.conv_out = nn.Conv2d(width, config.get("out_channels", 4), 3, padding=1)

    def forward(self, x, timesteps, context, pooled=None, sizes=None):
        dtype = self.conv_in.weight.dtype
        time = self.time_embedding(features(timesteps, self.conv_in.out_channels).to(dtype))
        if pooled is not None:
            each = features(sizes.flatten(), self.config["addition_time_embed_dim"]).reshape(len(x), -1)
            time = time + self.add_embedding(torch.cat([pooled, each.to(dtype)], dim=-1))

        def layer(part, number, x):
            x = part.resnets[number](x, time)
            return x if part.attentions is None else part.attentions[number](x, context)

        x = self.conv_in(x)
        skips = [x]
        for part in self.down_blocks:
            for number in range(len(part.resnets)):
                x = layer(part, number, x)
                skips.append(x)
            for sampler in part.downsamplers:
                x = sampler(x)
                skips.append(x)
        x = self.mid_block.resnets[1](layer(self.mid_block, 0, x), time)
        for part in self.up_blocks:
            for number in range(len(part.resnets)):
                x = layer(part, number, torch.cat([x, skips.pop()], dim=1))
            for sampler in part.upsamplers:
                x = sampler(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class PixelAttention(Attention):
    """Of an autoencoder: one head, over all pixels."""

    def __init__(self, width, groups):
        super().__init__(width, width, 1, bias=True)
        self.group_norm = nn.GroupNorm(groups, width, eps=1e-6)

    def forward(self, x):
        hidden = self.group_norm(x).permute(0, 2, 3, 1).flatten(1, 2)
        hidden = super().forward(hidden, hidden)
        return x + hidden.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)


class Half(nn.Module):
    """An encoder, or a decoder."""

    def __init__(self, config, up):
        super().__init__()
        self.up = up
        widths, groups = list(config["block_out_channels"]), config.get("norm_num_groups", 32)
        latents, layers = config["latent_channels"], config["layers_per_block"]
        levels, middle = (widths[::-1] if up else widths), widths[-1]
        inputs, outputs = (latents, 3) if up else (3, 2 * latents)
        self.conv_in = nn.Conv2d(inputs, levels[0], 3, padding=1)
        parts, width = nn.ModuleList(), levels[0]
        for level, after in enumerate(levels):
            part = nn.Module()
            part.resnets = nn.ModuleList(
                Residual(after if number else width, after, groups, eps=1e-6) for number in range(layers + up))
            width = after
            samplers = [Sampler(width, up, padding=0)] if level < len(levels) - 1 else []
            setattr(part, "upsamplers" if up else "downsamplers", nn.ModuleList(samplers))
            parts.append(part)
        self.mid_block = nn.Module()
        self.mid_block.resnets = nn.ModuleList(Residual(middle, middle, groups, eps=1e-6) for _ in range(2))
        self.mid_block.attentions = nn.ModuleList([PixelAttention(middle, groups)])
        setattr(self, "up_blocks" if up else "down_blocks", parts)
        self.conv_norm_out = nn.GroupNorm(groups, width, eps=1e-6)
        self.conv_out = nn.Conv2d(width, outputs, 3, padding=1)

    def middle(self, x):
        first, second = self.mid_block.resnets
        return second(self.mid_block.attentions[0](first(x)))

    def forward(self, x):
        x = self.conv_in(x)
        x = self.middle(x) if self.up else x
        for part in self.up_blocks if self.up else self.down_blocks:
            for resnet in part.resnets:
                x = resnet(x)
            for sampler in part.upsamplers if self.up else part.downsamplers:
                x = sampler(x)
        x = x if self.up else self.middle(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class Autoencoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, latents = config, config["latent_channels"]
        self.encoder, self.decoder = Half(config, up=False), Half(config, up=True)
        self.quant_conv = nn.Conv2d(2 * latents, 2 * latents, 1)
        self.post_quant_conv = nn.Conv2d(latents, latents, 1)

    def decode(self, latents):
        return self.decoder(self.post_quant_conv(latents))


class LoRA(nn.Module):
    """A linear layer and what is added to it."""

    def __init__(self, linear, rank):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        weight = linear.weight
        self.down = nn.Parameter(torch.randn(rank, weight.shape[1], device=weight.device, dtype=weight.dtype) / rank)
        self.up = nn.Parameter(torch.randn(weight.shape[0], rank, device=weight.device, dtype=weight.dtype) / 50)
        self.enabled = True

    def forward(self, x):
        down, up = (factor.to(x.dtype) for factor in (self.down, self.up))
        added = F.linear(F.linear(x, down), up) if self.enabled else 0
        return self.linear(x) + added


def add_lora(unet, rank):
    """Adapters on every projection of every attention, of these modules' or of diffusers' U-Net."""
    unet.requires_grad_(False)
    adapters = []
    for name, module in list(unet.named_modules()):
        if name.endswith((".to_q", ".to_k", ".to_v", ".to_out.0")):
            owner, _, last = name.rpartition(".")
            adapters.append(LoRA(module, rank))
            unet.get_submodule(owner)._modules[last] = adapters[-1]
    return adapters
