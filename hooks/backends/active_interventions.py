"""Which interventions are on, by place, so that a forward pass which does not go through the module
can apply them.

Interventions are hooks on the loaded module. A back end that runs a twin asks here for what they do
at each place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from hooks import sites
from hooks.sites import Place
from hooks.without_interventions import is_own
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hooks.model import InstrumentedModel

Changed = Callable[["Tensor"], "Tensor"]


def active(model: InstrumentedModel, backend: str) -> dict[Place, Changed]:
    """What the hooks on the module do now: place -> function of its values, (batch, *site.dims), to
    the new values.

    Raises:
        BadInput: a hook sits where no site is, or inside the attention call: it cannot be carried
            over.
    """
    names = {id(part): name for name, part in model.module.named_modules()}
    taps = _taps(model)
    found: dict[Place, Changed] = {}
    for part in model.module.modules():
        if part is model.module:  # its hooks are shared with the twin
            continue
        for on_input, hooks in ((True, part._forward_pre_hooks), (False, part._forward_hooks)):
            if all(is_own(hook) for hook in hooks.values()):
                continue
            if (id(part), on_input) not in taps:
                where = f"the {'input' if on_input else 'output'} of {names[id(part)]}"
                raise BadInput(
                    f"A hook on {where} cannot be carried over to {backend}.",
                    f"interventions at one of {', '.join(model.sites)}",
                    "Use the back end 'torch'.",
                )
            place, tap = taps[id(part), on_input]
            found[place] = partial(_through, tap)
    if any(_answered(block.attention) for block in model.layout.blocks):
        raise BadInput(
            "Something answers inside the attention call, which cannot be carried over to"
            f" {backend}.",
            "interventions at z, or at a residual or MLP site",
            "Use the back end 'torch'.",
        )
    return found


def any_active(model: InstrumentedModel) -> bool:
    """Whether any hook is on the module, or anything answers inside its attention calls, that is
    not the model's own.
    """
    hooked = any(
        not is_own(hook)
        for part in model.module.modules()
        for hooks in (part._forward_pre_hooks, part._forward_hooks)
        for hook in hooks.values()
    )
    return hooked or any(_answered(block.attention) for block in model.layout.blocks)


def _taps(model: InstrumentedModel) -> dict[tuple[int, bool], tuple[Place, sites.Tap]]:
    """(id of a module, whether it is about its input) -> the first place whose values pass there
    and can be changed.
    """
    taps: dict[tuple[int, bool], tuple[Place, sites.Tap]] = {}
    for short, layers in model.sites.items():
        for layer in [None] if layers is None else layers:
            place = Place(sites.SITES[short], layer)
            tap = sites.tap(model.layout, place)
            if tap is not None and tap.changeable:
                taps.setdefault((id(tap.module), tap.on_input), (place, tap))
    return taps


def _answered(attention: Any) -> bool:
    """Whether something listens inside this module's attention call (see `hooks.attention`)."""
    return str(getattr(getattr(attention, "config", None), "_attn_implementation", "")).startswith(
        "workbench_"
    )


def _through(tap: sites.Tap, x: Tensor) -> Tensor:
    """The site's values after all hooks that sit where the tap is, in their order."""
    module: nn.Module = tap.module
    # As the module has it: without the site's scale, heads side by side.
    x = x if tap.scale == 1.0 else x / tap.scale
    x = x.flatten(-2) if tap.heads else x
    hooks, named = module._forward_hooks, module._forward_hooks_with_kwargs
    if tap.on_input:
        hooks, named = module._forward_pre_hooks, module._forward_pre_hooks_with_kwargs
    for key, hook in list(hooks.items()):
        if is_own(hook):
            continue
        kwargs: tuple[dict[str, Any], ...] = ({},) if key in named else ()
        if tap.on_input:
            answer = hook(module, (x,), *kwargs)
            answer = answer[0] if kwargs and answer is not None else answer
            answer = answer[0] if isinstance(answer, tuple) else answer
        else:
            answer = hook(module, (), *kwargs, x)
        x = x if answer is None else answer
    x = x.unflatten(-1, (tap.heads, -1)) if tap.heads else x
    return x if tap.scale == 1.0 else x * tap.scale
