"""A BERT sentence encoder in numpy: just enough to embed text with a checkpoint's weights.

It exists to measure what a conversion does to a model's answers, so it follows the original
arithmetic (GELU by erf, the checkpoint's LayerNorm epsilon) instead of the usual shortcuts.
"""

import math

import numpy as np


def plain_linear(weights, name, values):
    """The layer `name` of the model."""
    return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def embed(weights, config, token_ids, mask, linear=plain_linear):
    """Returns one unit-length row per sentence.

    `weights` maps checkpoint names to F32 arrays; `config` is the model's config.json;
    `token_ids` and `mask` are (sentences, tokens), mask 1 for a token and 0 for padding.
    `linear` computes each layer with a weight matrix, and so may look at its input.
    """
    hidden = _embed_tokens(weights, config, token_ids)
    for layer in range(config["num_hidden_layers"]):
        hidden = _encoder_layer(weights, config, f"encoder.layer.{layer}", hidden, mask, linear)
    return _unit_rows(_mean_of_tokens(hidden, mask))


def _embed_tokens(weights, config, token_ids):
    n_tokens = token_ids.shape[1]
    total = weights["embeddings.word_embeddings.weight"][token_ids]
    total = total + weights["embeddings.position_embeddings.weight"][:n_tokens]
    # Each input is a single sentence, so every token has segment 0.
    total = total + weights["embeddings.token_type_embeddings.weight"][0]
    return _layer_norm(weights, config, "embeddings.LayerNorm", total)


def _encoder_layer(weights, config, name, hidden, mask, linear):
    attended = _attention(weights, config, f"{name}.attention.self", hidden, mask, linear)
    attended = linear(weights, f"{name}.attention.output.dense", attended)
    hidden = _layer_norm(weights, config, f"{name}.attention.output.LayerNorm", attended + hidden)
    inner = _gelu(linear(weights, f"{name}.intermediate.dense", hidden))
    outer = linear(weights, f"{name}.output.dense", inner)
    return _layer_norm(weights, config, f"{name}.output.LayerNorm", outer + hidden)


def _attention(weights, config, name, hidden, mask, linear):
    n_sentences, n_tokens, width = hidden.shape
    n_heads = config["num_attention_heads"]
    head_width = width // n_heads

    def heads_of(part):
        projected = linear(weights, f"{name}.{part}", hidden)
        return projected.reshape(n_sentences, n_tokens, n_heads, head_width).swapaxes(1, 2)

    query, key, value = heads_of("query"), heads_of("key"), heads_of("value")
    scores = query @ key.swapaxes(2, 3) / np.float32(math.sqrt(head_width))
    scores = np.where(mask[:, None, None, :] == 1, scores, np.float32(-np.inf))
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
    return mixed.swapaxes(1, 2).reshape(n_sentences, n_tokens, width)


def _layer_norm(weights, config, name, values):
    centred = values - values.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    # A Python float would be enough, but says nothing about staying in F32; this does.
    epsilon = np.float32(config["layer_norm_eps"])
    return centred / np.sqrt(variance + epsilon) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _gelu(values):
    erf = _erf(values.astype(np.float64) / math.sqrt(2)).astype(np.float32)
    return values * np.float32(0.5) * (1 + erf)


def _erf(values):
    """numpy has none.  Abramowitz and Stegun, 7.1.26: the error is at most 1.5e-7, about one unit of F32 near 1."""
    t = 1 / (1 + 0.3275911 * np.abs(values))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.copysign(1 - series * np.exp(-np.square(values)), values)


def _mean_of_tokens(hidden, mask):
    kept = mask[:, :, None].astype(np.float32)
    return (hidden * kept).sum(axis=1) / kept.sum(axis=1)


def _unit_rows(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
