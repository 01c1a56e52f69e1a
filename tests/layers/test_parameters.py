"""A parameter that was replaced by something else is refused by name in every layer."""

import numpy as np
import pytest
from cases import LAYERS

from minirnn.checking.catalogue import example, make


@pytest.mark.parametrize("name", LAYERS)
def test_a_parameter_of_a_wrong_shape_is_refused_by_name(name):
    layer = make(name)
    owners = [part for part in parts_of(layer) if part.params]
    for owner in owners:
        for key, p in owner.params.items():
            owner.params[key] = np.ones((*p.shape, 2))
            with pytest.raises(ValueError, match=rf"params\['{key}'\]: expected shape"):
                layer.forward(*example(name))
            owner.params[key] = p
    layer.forward(*example(name))


def parts_of(layer):
    parts = getattr(layer, "parts", {})
    return [leaf for part in parts.values() for leaf in parts_of(part)] if parts else [layer]
