"""PyTorch's operators on what `spo bench OPERATOR --save FILE` wrote, for bench_torch.py."""

import torch
import torch.nn.functional as F


def convolution(given):
    weight = given["weight"].permute(3, 2, 0, 1).contiguous()
    return image_operator(lambda x: F.conv2d(x, weight, given["bias"], padding=1))


def linear(given):
    return lambda x: F.linear(x, given["weight"], given["bias"])


def attention(given):
    def work(*inputs):
        query, key, value = (x.unflatten(-1, (8, -1)).transpose(1, 2) for x in inputs)
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(-2)

    return work


def group_norm(given):
    return image_operator(
        lambda x: F.silu(F.group_norm(x, 32, given["weight"], given["bias"], 1e-5)))


def layer_norm(given):
    return lambda x: F.layer_norm(x, x.shape[-1:], given["weight"], given["bias"], 1e-5)


def geglu(given):
    def work(x):
        value, gate = x.chunk(2, dim=-1)
        return value * F.gelu(gate)

    return work


def gemm(given):
    return lambda a, b: a @ b


def image_operator(work):
    work.is_on_images = True
    return work


OPERATORS = {
    "convolution": convolution, "linear": linear, "attention": attention,
    "group-norm": group_norm, "layer-norm": layer_norm, "geglu": geglu, "gemm": gemm,
}


def cases(name, tensors):
    """For each size a function to be timed and what ours gave: the output or, where a gradient of the
    output stands in the file, that of the first input."""
    for number in range(1 + max(int(key.split(".")[0]) for key in tensors)):
        prefix = f"{number}."
        yield case(name, {
            key.removeprefix(prefix): value for key, value in tensors.items()
            if key.startswith(prefix)})


def case(name, given):
    operator = OPERATORS[name](given)
    on_images = getattr(operator, "is_on_images", False)

    def theirs(x):
        return x.permute(0, 3, 1, 2).contiguous() if on_images else x

    def ours(x):
        return x.permute(0, 2, 3, 1) if on_images else x

    inputs = [theirs(given[key]) for key in ("a", "b", "x0", "x1", "x2") if key in given]
    if "dy" not in given:
        return torch.inference_mode()(lambda: ours(operator(*inputs))), given["y"]
    arriving = theirs(given["dy"])
    leaves = [x.requires_grad_() for x in inputs]
    return lambda: ours(torch.autograd.grad(operator(*leaves), leaves, arriving)[0]), given["dx0"]
