"""Writes a Llama model with random weights and a vocabulary of bytes, as GGUF: small enough to be made anew, real enough for
llama.cpp to batch, cache and count it.

    random_llama.py FILE [WIDTH LAYERS]
"""

import sys

import gguf
import numpy as np

HEADS = 8
CONTEXT = 4096


def write(path, width=512, layers=8):
    feed = 4 * width
    vocabulary = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *(f"w{i}" for i in range(771))]
    kinds = [2, 3, 3, *[6] * 256, *[1] * 771]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([word.encode() for word in vocabulary])
    writer.add_token_scores([-float(i) for i in range(len(vocabulary))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:")
    random = np.random.default_rng(1)

    def add(name, *shape):
        writer.add_tensor(name, (random.standard_normal(shape, dtype=np.float32) * 0.05))

    def ones(name):
        writer.add_tensor(name, np.ones(width, dtype=np.float32))

    add("token_embd.weight", len(vocabulary), width)
    ones("output_norm.weight")
    add("output.weight", len(vocabulary), width)
    for layer in range(layers):
        ones(f"blk.{layer}.attn_norm.weight")
        ones(f"blk.{layer}.ffn_norm.weight")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", width, width)
        add(f"blk.{layer}.ffn_gate.weight", feed, width)
        add(f"blk.{layer}.ffn_up.weight", feed, width)
        add(f"blk.{layer}.ffn_down.weight", width, feed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1], *map(int, sys.argv[2:4]))
