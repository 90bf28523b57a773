"""What a language model is run on: blocks of tokens of text, or random ones."""

import torch


def text_blocks(tokenizer, paths, length, limit):
    """Blocks of `length` tokens with the marks that the tokenizer adds to each, of at most `limit` tokens together."""
    blocks = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        encoded = tokenizer(text, truncation=True, max_length=length, return_overflowing_tokens=True)["input_ids"]
        rows = encoded if encoded and isinstance(encoded[0], list) else [encoded]
        blocks += [row for row in rows if len(row) == length]  # the last one of a file would need padding
    if not blocks:
        raise SystemExit(f"collect_stats: the text has fewer than {length} tokens; give more, or a smaller --length")
    return _spread(blocks, max(1, limit // length))


def _spread(blocks, n):
    """`n` of the blocks, from all over the text."""
    if len(blocks) <= n:
        return blocks
    return [blocks[i * len(blocks) // n] for i in range(n)]


def random_blocks(tokenizer, length, limit, seed):
    """Blocks of tokens drawn evenly from all but the special ones."""
    special = set(tokenizer.all_special_ids)
    ordinary = torch.tensor([i for i in range(len(tokenizer)) if i not in special])
    generator = torch.Generator().manual_seed(seed)
    n = max(1, limit // length)
    return ordinary[torch.randint(len(ordinary), (n, length), generator=generator)].tolist()


def batches_of(blocks, size, device):
    """Keyword arguments for the model, batch by batch."""
    return [{"input_ids": torch.tensor(blocks[i : i + size], device=device)} for i in range(0, len(blocks), size)]
