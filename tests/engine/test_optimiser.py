"""Adam against torch's own AdamW."""

import torch

from geospot_backends.local.api import AdamParams
from geospot_backends.local.optimiser import Adam
from geospot_backends.local.untyped import untyped
from tests.support.approx import approx


def test_steps_are_those_of_adamw_with_every_parameter_in_use() -> None:
    random = torch.Generator().manual_seed(0)
    start = {
        "a": torch.randn(4, 3, generator=random),
        "b": torch.randn(5, generator=random),
    }
    ours = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    theirs = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    adam = Adam()
    optim = untyped("torch.optim").AdamW(
        theirs.values(), lr=0.03, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.2
    )
    params = AdamParams(0.03, beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.2, grad_clip_norm=2.0)
    for step in range(5):
        gradients = [torch.randn(value.shape, generator=random) * step for value in start.values()]
        half = [gradient / 2 for gradient in gradients]
        adam.add(ours, half)
        adam.add(ours, half)
        norm = adam.step(ours, params)
        for parameter, gradient in zip(theirs.values(), gradients, strict=True):
            parameter.grad = gradient.clone()
        wanted = untyped("torch.nn.utils").clip_grad_norm_(theirs.values(), 2.0)
        optim.step()
        assert norm == approx(float(wanted), rel=1e-5)
        for name, weight in ours.items():
            torch.testing.assert_close(weight, theirs[name], atol=1e-6, rtol=1e-5)


def test_weights_of_low_precision_keep_moments_in_full() -> None:
    weights = {"w": torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))}
    adam = Adam()
    adam.add(weights, [torch.full((3,), 0.5, dtype=torch.bfloat16)])
    adam.step(weights, AdamParams(learning_rate=0.25))
    assert adam.first["w"].dtype == torch.float32
    assert weights["w"].dtype == torch.bfloat16
    assert weights["w"].tolist() == [0.75] * 3  # pyright: ignore[reportUnknownMemberType]
