"""Multi-head attention as fully connected layers, products and a softmax."""

import keras
import numpy as np
import pytest
from keras import layers
from rewrite_models import images, kinds, randomize

from tfeff.export.rewrites import load_rewrite
from tfeff.export.rewrites.core import rewrite_proven

CALLS = {
    "itself": lambda x, y: layers.MultiHeadAttention(2, 3)(x, x),
    "another": lambda x, y: layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=4)(x, y),
    "three": lambda x, y: layers.MultiHeadAttention(3, 2, use_bias=False)(query=x, value=y, key=y),
    "dropout": lambda x, y: layers.MultiHeadAttention(2, 3, dropout=0.5)(x, y, training=False),
}
STAYS = {
    "causal": lambda x, y: layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
    "scores": lambda x, y: layers.MultiHeadAttention(2, 3)(x, y, return_attention_scores=True)[0],
    "masked": lambda x, y: layers.MultiHeadAttention(2, 3)(x, x, attention_mask=keras.ops.ones((1, 7, 7))),
}


def network(call):
    x, y = keras.Input((7, 6), name="x"), keras.Input((5, 6), name="y")
    model = keras.Model([x, y], [call(x, y), layers.Dense(2)(y)], name="net")
    return randomize(model), {"x": images(3, 7, 6), "y": images(3, 5, 6, seed=5)}


@pytest.mark.parametrize("call", CALLS)
def test_it_is_the_attention(call):
    model, proof = network(CALLS[call])
    made = rewrite_proven(model, [load_rewrite("attention")], proof)
    assert [each.places for each in made.applied] == [1]
    found = kinds(made.model)
    assert "MultiHeadAttention" not in found
    assert found.count("Dense") == 5
    expected = model([proof["x"], proof["y"]], training=False)[0]
    np.testing.assert_allclose(made.model([proof["x"], proof["y"]])[0], expected, atol=1e-5)


@pytest.mark.parametrize("call", STAYS)
def test_with_a_mask_or_scores_it_stays(call):
    model, proof = network(STAYS[call])
    assert rewrite_proven(model, [load_rewrite("attention")], proof).applied == ()
