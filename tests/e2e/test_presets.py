"""Presets: the data itself, and what the program makes of it on real model layouts.

HALFTONE_BIN     the program (default: build/halftone)
"""
import gzip
import itertools
import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRESETS = ROOT / "src" / "presets"
HEADERS = ROOT / "tests" / "data" / "model_layouts.json.gz"  # layouts of 13 real models: name -> dtype, shape
BIN = pathlib.Path(os.environ.get("HALFTONE_BIN", ROOT / "build" / "halftone"))
DTYPE_BYTES = {"F32": 4, "BF16": 2, "F16": 2}
REFERENCE = "convert_to_quant July 2026, constants.py"

# The reference's filter table, transcribed from formats.md section 9 independently of the JSON files.
AVOID = """norm bias embed_tokens lm_head shared patch_embedding audio_model.patch_embedding ref_conv control_adapter
    motion_encoder.enc.net_app face_encoder.conv pose_patch_embedding motion_encoder.enc.fc img_emb.proj k_norm q_norm
    motion_encoder.dec head.modulation casual_audio_encoder cond_encoder frame_packer norm_k norm_q tekken_model
    multi_modal_projector patch_conv ln_pre input_layernorm attention_norm post_attention_layernorm
    mm_input_projection_weight"""
ZIMAGE_EXCLUDE = """cap_embedder.0 cap_pad_token attention_norm1 attention_norm2 ffn_norm1 ffn_norm2 k_norm q_norm
    x_pad_token"""
ROWS = {name: text.split() for name, text in {
    "gemma4": "audio per_layer_input_gate per_layer_projection vision multi_modal_projector",
    "qwen35": """.layers.0. .layers.63. lm_head embed_tokens in_proj_a in_proj_b visual.pos_embed visual.patch_embed
        merger mtp.fc visual.blocks.0.""",
    "t5xxl": AVOID,
    "mistral": AVOID,
    "visual": "mlp.down_proj mlp.up_proj mlp.gate_proj",
    "generic_text": "",
    "anima": "net.blocks.0. net.blocks.1.adaln_modulation final_layer llm_adapter t_embedder x_embedder",
    "lens": "time_text_embed img_in norm_out proj_out img_mod.1 txt_mod.1 txt_in",
    "flux2": "stream_modulation guidance_in time_in final_layer img_in txt_in",
    "distillation_large": "distilled_guidance_layer final_layer img_in txt_in",
    "distillation_small": "distilled_guidance_layer",
    "nerf_large": "distilled_guidance_layer nerf_blocks nerf_image_embedder txt_in _attn.proj",
    "nerf_small": "distilled_guidance_layer nerf_blocks nerf_image_embedder",
    "radiance": "img_in_patch nerf_final_layer_conv __x0__",
    "krea2": "firs las tml txtfusion last.modulatio tpro",
    "ideogram4": "embed_image_indicator t_embedding llm_cond_proj adaln_proj final_layer input_proj",
    "wan": AVOID + """ text_embedding time_embedding audio_model.text_embedding casual_audio_encoder frame_packer
        trainable_cond_mask cond_encoder audio_model.time_embedding time_projection video_model.time_projection
        head.head face_encoder.out_proj face_adapter audio_injector""",
    "hunyuan": """layernorm img_attn_k_norm img_attn_q_norm txt_attn_k_norm txt_attn_q_norm norm1 norm2
        vision_in.proj.0 vision_in.proj.4 img_in.proj cond_type_embedding""",
    "qwen": """norm_added_k norm_added_q norm_k norm_q txt_norm time_text_embed img_in norm_out proj_out
        transformer_blocks.0.img_mod.1 txt_in""",
    "zimage": ZIMAGE_EXCLUDE + """ x_embedder clip_text_pooled_proj final_layer cap_embedder.1 adaLN_modulation
        t_embedder time_text_embed""",
    "zimage_refiner": ZIMAGE_EXCLUDE + " context_refiner noise_refiner",
    "boogu": """image_index_embedding ref_image_patch_embedder time_caption_embed x_embedder norm_out.linear_1
        norm_out.linear_2""",
    "ltxv2": """scale_shift_table text_embedding_projection audio_vae audio_embeddings_connector adaln_single
        audio_adaln_single audio_patchify_proj audio_proj_out audio_prompt_adaln_single av_ca_a2v_gate_adaln_single
        av_ca_audio_scale_shift_adaln_single av_ca_v2a_gate_adaln_single av_ca_video_scale_shift_adaln_single
        patchify_proj proj_out prompt_adaln_single transformer_blocks.0. transformer_blocks.1. transformer_blocks.46.
        transformer_blocks.47. video_embeddings_connector vae.decoder vae.encoder vocoder to_gate_logits""",
}.items()}
REMOVE = {"t5xxl": ["decoder", "lm_head"]}

# Layout -> (preset that auto recognises, layers it quantizes to fp8 for ComfyUI, layers that must stay).
# qwen2.5-vl-7b: 356 by the rules, less 96 vision matrices with a side of 3420, which 16 does not divide.
FLUX_ENDS = ["img_in.weight", "txt_in.weight", "time_in.in_layer.weight", "guidance_in.out_layer.weight",
             "final_layer.linear.weight"]
LAYOUTS = {
    "flux1-dev": ("flux", 304, FLUX_ENDS + ["vector_in.in_layer.weight"]),
    "flux2-dev": ("flux2", 160, FLUX_ENDS + ["double_stream_modulation_img.lin.weight",
                                             "single_stream_modulation.lin.weight"]),
    "chroma1": ("distillation_large", 228, ["img_in.weight", "txt_in.weight", "final_layer.linear.weight",
                                            "distilled_guidance_layer.in_proj.weight"]),
    "qwen-image": ("qwen", 839, ["img_in.weight", "txt_in.weight", "proj_out.weight", "norm_out.linear.weight",
                                 "transformer_blocks.0.img_mod.1.weight"]),
    "z-image": ("zimage", 170, ["x_embedder.weight", "cap_embedder.1.weight", "t_embedder.mlp.0.weight",
                                "layers.29.adaLN_modulation.0.weight", "final_layer.linear.weight"]),
    "wan2.1-t2v-14b": ("wan", 399, ["head.head.weight", "text_embedding.0.weight", "time_projection.1.weight",
                                    "blocks.0.ffn.0.weight"]),
    "wan2.1-t2v-1.3b": ("wan", 299, ["head.head.weight", "text_embedding.0.weight", "time_projection.1.weight",
                                     "blocks.0.ffn.0.weight"]),
    "ltxv-13b": ("ltxv", 479, ["patchify_proj.weight", "proj_out.weight", "adaln_single.linear.weight",
                               "transformer_blocks.0.attn2.to_k.weight"]),
    "t5xxl": ("t5xxl", 167, ["shared.weight", "encoder.block.23.layer.1.DenseReluDense.wi_1.weight",
                             "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]),
    "qwen2.5-vl-7b": ("qwen25vl", 260, ["model.embed_tokens.weight", "visual.merger.mlp.0.weight"]),
    "mistral3-24b": ("mistral", 280, ["model.embed_tokens.weight"]),
    "gemma2-2b": ("gemma", 182, ["model.embed_tokens.weight"]),
    "sdxl-unet": ("sdxl", 718, ["label_emb.0.0.weight", "time_embed.0.weight", "middle_block.0.emb_layers.1.weight",
                                "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"]),
}


# --------------------------------------------------------------------------- evaluation, independent of the program
def load_presets():
    return {path.stem: json.loads(path.read_text()) for path in sorted(PRESETS.glob("*.json"))}


def glob_matches(pattern, text):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def rule_matches(rule, name):
    (kind, pattern), = rule["match"].items()
    if kind == "contains":
        return pattern in name
    return glob_matches(pattern, name) if kind == "glob" else re.search(pattern, name) is not None


def entry_present(entry, shapes):
    want = entry.get("shape")
    for name, shape in shapes.items():
        if want is not None and not (len(want) == len(shape) and all(w in (None, s) for w, s in zip(want, shape))):
            continue
        parts = name.split(".")
        if any(glob_matches(entry["name"], ".".join(parts[i:])) for i in range(len(parts))):
            return True
    return False


def detect(presets, shapes):
    return [name for name, preset in presets.items() if "detect" in preset
            and all(entry_present(e, shapes) for e in preset["detect"]["all"])
            and not any(entry_present(e, shapes) for e in preset["detect"].get("none", []))]


def decide(presets, preset_name, tensor, auto):
    preset = presets[preset_name]
    rules = [dict(r, action="keep") for r in preset.get("detect", {}).get("keep", [])] if auto else []
    rules = rules + preset["rules"] + [r for used in preset.get("use", []) for r in presets[used]["rules"]]
    return next((r["action"] for r in rules if rule_matches(r, tensor)), "quantize")


def reference_action(row, tensor):
    if any(f in tensor for f in REMOVE.get(row, [])):
        return "drop"
    return "keep" if any(f in tensor for f in ROWS[row]) else "quantize"


def candidates(layout):
    return {n: shape for n, (_, shape) in layout.items() if n.endswith(".weight") and len(shape) == 2}


# --------------------------------------------------------------------------- driving the program
def write_sparse(path, layout):
    """A safetensors file with this header; the data is a hole and takes no disk space."""
    header, offset = {}, 0
    for name, (dtype, shape) in layout.items():
        size = DTYPE_BYTES[dtype]
        for dim in shape:
            size *= dim
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)


def plan(layout, *options):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.safetensors")
        write_sparse(path, layout)
        run = subprocess.run([str(BIN), "plan", path, "--json", *options], capture_output=True, text=True, timeout=300)
    if run.returncode != 0:
        raise AssertionError(f"halftone plan {' '.join(options)}: exit {run.returncode}\n{run.stderr}")
    return json.loads(run.stdout)


def actions(result):
    return {layer["name"]: layer["action"] for layer in result["layers"]}


def bert_layout(blocks=6, width=384):
    layout = {"embeddings.word_embeddings.weight": ["F32", [30522, width]],
              "embeddings.position_embeddings.weight": ["F32", [512, width]],
              "embeddings.token_type_embeddings.weight": ["F32", [2, width]],
              "embeddings.LayerNorm.weight": ["F32", [width]],
              "pooler.dense.weight": ["F32", [width, width]]}
    for i in range(blocks):
        block = f"encoder.layer.{i}."
        for matrix in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            layout[f"{block}{matrix}.weight"] = ["F32", [width, width]]
        layout[f"{block}attention.output.LayerNorm.weight"] = ["F32", [width]]
        layout[f"{block}intermediate.dense.weight"] = ["F32", [4 * width, width]]
        layout[f"{block}output.dense.weight"] = ["F32", [width, 4 * width]]
        layout[f"{block}output.LayerNorm.weight"] = ["F32", [width]]
    return layout


def every_fragment_layout():
    """Small 2-D weights whose names contain each fragment of each row, and neighbours that contain none."""
    names = {f"part.{i}.{f.strip('.')}.{i}.weight" for i, f in enumerate(sorted({f for r in ROWS.values() for f in r}))}
    names |= {f"x{f}y.weight" for row in ROWS.values() for f in row}
    names |= {"decoder.block.0.q.weight", "encoder.block.0.q.weight", "blocks.0.mlp.weight", "net.blocks.10.q.weight",
              "transformer_blocks.10.attn.to_q.weight", "model.layers.0.q.weight", "layers.63.q.weight"}
    return {name: ["BF16", [32, 32]] for name in sorted(names)}


needs_program = unittest.skipUnless("HALFTONE_BIN" in os.environ or BIN.exists(), f"{BIN} not built; set HALFTONE_BIN")


class PresetData(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.presets = load_presets()

    def check_rule(self, rule, keys):
        self.assertEqual(set(rule), keys)
        (kind, pattern), = rule["match"].items()
        self.assertIn(kind, ("contains", "glob", "regex"))
        self.assertTrue(pattern)
        if kind == "regex":
            re.compile(pattern)
            self.assertNotRegex(pattern, r"\(\?[=!<]", "RE2 has no look-around")
        self.assertGreater(len(rule["why"].strip()), 15)
        self.assertTrue(rule["why"].endswith("."), rule["why"])

    def test_files_obey_the_schema(self):
        for stem, preset in self.presets.items():
            with self.subTest(preset=stem):
                required = {"name", "title", "group", "origin", "rules"}
                self.assertLessEqual(required, set(preset))
                self.assertLessEqual(set(preset), required | {"use", "hidden", "detect"})
                self.assertEqual(preset["name"], stem)
                self.assertIn(preset["group"], ("diffusion", "video", "image", "text", "general"))
                self.assertIn(preset["origin"], (REFERENCE, "Halftone"))
                for rule in preset["rules"]:
                    self.check_rule(rule, {"match", "action", "why"})
                    self.assertIn(rule["action"], ("keep", "drop"))
                for used in preset.get("use", []):
                    self.assertNotIn("use", self.presets[used], "use lists do not nest")
                if preset.get("hidden"):
                    self.assertNotIn("detect", preset)

    def test_detect_obeys_the_schema(self):
        for stem, preset in self.presets.items():
            if "detect" not in preset:
                continue
            with self.subTest(preset=stem):
                found = preset["detect"]
                self.assertLessEqual(set(found), {"all", "none", "keep", "why"})
                self.assertTrue(found["all"])
                self.assertGreater(len(found["why"]), 15)
                for entry in found["all"] + found.get("none", []):
                    self.assertLessEqual(set(entry), {"name", "shape"})
                for rule in found.get("keep", []):
                    self.check_rule(rule, {"match", "why"})

    def test_no_file_repeats_a_rule(self):
        for stem, preset in self.presets.items():
            for rules in (preset["rules"], preset.get("detect", {}).get("keep", [])):
                matches = [json.dumps(r["match"]) for r in rules]
                self.assertEqual(len(matches), len(set(matches)), stem)

    def test_reference_rows_are_transcribed_exactly(self):
        for row, fragments in ROWS.items():
            with self.subTest(row=row):
                preset = self.presets[row]
                self.assertEqual(preset["origin"], REFERENCE)
                rules = preset["rules"] + [r for u in preset.get("use", []) for r in self.presets[u]["rules"]]
                self.assertTrue(all(set(r["match"]) == {"contains"} for r in rules))
                kept = {r["match"]["contains"] for r in rules if r["action"] == "keep"}
                dropped = [r["match"]["contains"] for r in rules if r["action"] == "drop"]
                self.assertEqual(kept, set(fragments))
                self.assertEqual(dropped, REMOVE.get(row, []))

    def test_a_minimal_match_of_one_preset_matches_no_other(self):
        for stem, preset in self.presets.items():
            if "detect" in preset:
                shapes = {e["name"].replace("*", "x"): [s or 64 for s in e.get("shape", [64, 64])]
                          for e in preset["detect"]["all"]}
                self.assertEqual(detect(self.presets, shapes), [stem])

    def test_text_encoders_in_a_checkpoint_do_not_hide_the_diffusion_model(self):
        names = ["model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.label_emb.0.0.weight",
                 "model.diffusion_model.time_embed.0.weight",
                 "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
                 "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight"]
        self.assertEqual(detect(self.presets, {n: [64, 64] for n in names}), ["sdxl"])

    def test_general_quantizes_exactly_the_block_matrices_of_bert(self):
        weights = candidates(bert_layout())
        quantized = [n for n in weights if decide(self.presets, "general", n, auto=False) == "quantize"]
        self.assertEqual(len(quantized), 36)
        self.assertTrue(all(n.startswith("encoder.layer.") for n in quantized))

    def test_every_layout_is_recognised_as_one_preset(self):
        for model, layout in json.loads(gzip.decompress(HEADERS.read_bytes())).items():
            with self.subTest(model=model):
                shapes = {name: shape for name, (_, shape) in layout.items()}
                self.assertEqual(detect(self.presets, shapes), [LAYOUTS[model][0]])

    def test_general_rules_are_sensible_on_every_layout(self):
        for model, layout in json.loads(gzip.decompress(HEADERS.read_bytes())).items():
            with self.subTest(model=model):
                weights = candidates(layout)
                quantized = {n for n in weights if decide(self.presets, "general", n, auto=True) == "quantize"}
                # The kept share is largest where the embedding table is: 22.6 % in gemma2-2b.
                total = sum(r * c for r, c in weights.values())
                self.assertGreater(sum(weights[n][0] * weights[n][1] for n in quantized) / total, 0.75)
                first_and_last = [n for n in LAYOUTS[model][2] if not re.search(
                    r"img_mod|adaLN_modulation\.0|ffn\.0|wi_1", n)]  # block layers, kept only by their own preset
                self.assertFalse(quantized.intersection(first_and_last))


@needs_program
class PresetPlans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.presets = load_presets()
        cls.layouts = json.loads(gzip.decompress(HEADERS.read_bytes()))

    def test_auto_recognises_each_layout_and_quantizes_what_the_rules_say(self):
        for model, (preset, count, kept) in LAYOUTS.items():
            with self.subTest(model=model):
                weights = candidates(self.layouts[model])
                result = plan(self.layouts[model], "--format", "fp8")
                self.assertEqual(result["preset"]["name"], preset)
                self.assertTrue(result["preset"]["reason"])
                got = actions(result)
                self.assertEqual(set(got), set(weights))
                quantized = {n for n, action in got.items() if action == "quantize"}
                expected = {n for n, (rows, columns) in weights.items() if rows % 16 == 0 and columns % 16 == 0
                            and decide(self.presets, preset, n, auto=True) == "quantize"}
                self.assertEqual(quantized, expected)
                self.assertEqual(len(quantized), count)
                self.assertEqual([n for n in kept if got[n] != "keep"], [])
                self.assertTrue(all(layer["reason"] for layer in result["layers"]))

    def test_auto_never_packs_a_tensor_whose_shape_the_loader_measures(self):
        listed = {entry["name"] for entry in json.loads(subprocess.run([str(BIN), "formats", "--json"], capture_output=True,
                                                                       text=True, check=True).stdout)["formats"]}
        for model, fmt in itertools.product(LAYOUTS, sorted(listed & {"int8-row", "nvfp4"})):
            kept = LAYOUTS[model][2]
            with self.subTest(model=model, fmt=fmt):
                got = actions(plan(self.layouts[model], "--format", fmt))
                self.assertEqual([n for n in kept if got[n] != "keep"], [])

    def test_a_named_preset_selects_what_the_reference_flag_selects(self):
        # All layouts in one file, told apart by a prefix that contains no fragment, plus every fragment of every row.
        layout = {f"{chr(97 + i)}{i}.{name}": tensor for i, model in enumerate(self.layouts)
                  for name, tensor in self.layouts[model].items()}
        layout.update(every_fragment_layout())
        self.check_rows(layout)

    def test_a_named_preset_matches_every_fragment_of_its_row(self):
        self.check_rows(every_fragment_layout())

    def check_rows(self, layout):
        weights = candidates(layout)
        for row in ROWS:
            with self.subTest(row=row):
                result = plan(layout, "--format", "fp8", "--target", "none", "--preset", row)
                self.assertEqual(result["preset"]["name"], row)
                self.assertEqual(actions(result), {n: reference_action(row, n) for n in weights})

    def test_none_quantizes_every_matrix(self):
        layout = every_fragment_layout()
        got = actions(plan(layout, "--format", "fp8", "--target", "none", "--preset", "none"))
        self.assertEqual(set(got.values()), {"quantize"})
        self.assertEqual(set(got), set(candidates(layout)))

    def test_bert_keeps_embeddings_and_pooler_and_quantizes_the_rest(self):
        for options, name in (((), "bert"), (("--preset", "general"), "general")):
            with self.subTest(preset=name):
                result = plan(bert_layout(), "--format", "fp8", *options)
                self.assertEqual(result["preset"]["name"], name)
                got = actions(result)
                self.assertEqual(sum(a == "quantize" for a in got.values()), 36)
                self.assertEqual(got["embeddings.word_embeddings.weight"], "keep")
                self.assertEqual(got["pooler.dense.weight"], "keep")

    def test_an_unknown_model_falls_back_to_the_general_rules(self):
        layout = {"stem.embedding.weight": ["BF16", [64, 64]], "stack.0.attn.qkv.weight": ["BF16", [192, 64]],
                  "lm_head.weight": ["BF16", [64, 64]]}
        result = plan(layout, "--format", "fp8")
        self.assertEqual(result["preset"]["name"], "general")
        self.assertEqual(actions(result), {"stem.embedding.weight": "keep", "stack.0.attn.qkv.weight": "quantize",
                                           "lm_head.weight": "keep"})


if __name__ == "__main__":
    unittest.main()
