"""What a language model is run on: blocks of tokens of text, lines, or random tokens."""

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


def text_lines(tokenizer, paths, longest, limit):
    """Each line that is not blank as a sequence of its own, of at most `longest` tokens; at most `limit` tokens together."""
    lines = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            lines += [line for line in file.read().splitlines() if line.strip()]
    if not lines:
        raise SystemExit("collect_stats: the text has no line")
    rows = tokenizer(lines, truncation=True, max_length=longest)["input_ids"]
    total = sum(map(len, rows))
    return _spread(rows, max(1, len(rows) * limit // total))


def random_blocks(tokenizer, length, limit, seed):
    """Blocks of tokens drawn evenly from all but the special ones."""
    special = set(tokenizer.all_special_ids)
    ordinary = torch.tensor([i for i in range(len(tokenizer)) if i not in special])
    generator = torch.Generator().manual_seed(seed)
    n = max(1, limit // length)
    return ordinary[torch.randint(len(ordinary), (n, length), generator=generator)].tolist()


def batches_of(rows, size, device):
    """Keyword arguments for the model, batch by batch.  Those of a batch are equally long, so there is no padding."""
    batches = []
    for length in sorted({len(row) for row in rows}):
        equal = [row for row in rows if len(row) == length]
        for i in range(0, len(equal), size):
            batches.append({"input_ids": torch.tensor(equal[i : i + size], device=device)})
    return batches
