"""Commands, options, exit codes and streams."""
import os
import re
import unittest

import reference
import reference_blocks
import safetensors_file as st
from command_line import CommandLineTest
from program import BAD_INPUT, OK, REPOSITORY, USAGE, ProgramTest, run

FORMATS = reference.FORMATS + reference_blocks.FORMATS
PLAIN = ("--format", "fp8", "--preset", "none")
COMMANDS = re.findall(r"^HALFTONE_COMMAND\((\w+)\)", (REPOSITORY / "tools/halftone/commands.def").read_text(encoding="utf-8"), re.MULTILINE)


class Usage(CommandLineTest):
    def test_unknown_format_suggests_one(self):
        self.refuse_convert("--format", "fp9", says=["did you mean", r"\bfp8\b"])

    def test_unknown_option_suggests_one(self):
        self.refuse_convert("--fromat", "fp8", says=["did you mean", "--format"])

    def test_unknown_command_suggests_one(self):
        self.refuse("convrt", code=USAGE, says=["did you mean", "convert"])
        self.refuse("convrt", "--help", code=USAGE, says=["did you mean", "convert"])

    def test_unknown_preset_suggests_one(self):
        self.refuse_convert("--format", "fp8", "--preset", "flux22", says=["flux22", "did you mean", "flux2"])

    def test_missing_format(self):
        self.refuse_convert(says=["--format"])

    def test_missing_input(self):
        self.refuse("convert", "--format", "fp8", code=USAGE)

    def test_values_out_of_range(self):
        for option, value in (("--threads", "0"), ("--threads", "-1"), ("--threads", "many"), ("--memory", "lots"),
                              ("--memory", "-1GiB"), ("--memory", "99999999999999999999GiB"),
                              ("--device", "tpu"), ("--target", "nothing"), ("--indivisible", "maybe"),
                              ("--scales", "best"), ("--rounding", "up"), ("--heur", "sometimes")):
            with self.subTest(option=option, value=value):
                self.refuse_convert("--format", "fp8", f"{option}={value}", says=[option])

    def test_block_size_of_a_block_format(self):
        for size in ("0", "-64", "48", "x"):
            with self.subTest(size):
                self.refuse_convert("--format", "fp8-block", f"--block-size={size}", says=["--block-size"])

    def test_option_without_effect_is_an_error(self):
        self.refuse_convert("--format", "fp8", "--block-size", "64", says=["--block-size"])

    def test_scale_search_is_refused_where_it_has_no_effect(self):
        for fmt in ("fp8", "fp8-e5m2", "fp8-cast", "int8-row", "int8-convrot", "mxfp8", "mxfp8-hybrid"):
            with self.subTest(fmt):
                self.refuse_convert("--format", fmt, "--scales", "search", says=["gains nothing"])

    def test_no_arguments_show_the_commands(self):
        result = run()
        self.assertIn(result.code, (OK, USAGE))
        self.assertIn("convert", result.stdout + result.stderr)


class Information(ProgramTest):
    def test_version(self):
        result = self.check("--version")
        self.assertRegex(result.stdout, r"halftone.* \d+\.\d+")
        self.assertEqual(result.stderr, "")

    def test_help(self):
        text = self.check("--help").stdout
        for command in COMMANDS:
            with self.subTest(command):
                self.assertRegex(text, rf"(?m)^\s+{command}\b")

    def test_help_of_every_command_has_an_example(self):
        for command in COMMANDS:
            with self.subTest(command):
                text = self.check(command, "--help").stdout
                self.assertRegex(text, re.compile("example", re.IGNORECASE))
                self.assertIn(f"halftone {command}", text)

    def test_formats_lists_every_format(self):
        text = self.check("formats").stdout
        for fmt in FORMATS:
            with self.subTest(fmt):
                self.assertRegex(text, rf"(?<![\w-]){fmt}(?![\w-])")

    def test_presets_lists_the_models(self):
        text = self.check("presets").stdout
        for preset in ("t5xxl", "flux2", "wan", "qwen", "zimage"):
            self.assertRegex(text, rf"\b{preset}\b")

    def test_json_is_one_object(self):
        for command in ("formats", "presets", "doctor"):
            with self.subTest(command):
                self.assertIsInstance(self.check(command, "--json").json, dict)

    def test_doctor_names_the_devices(self):
        self.assertRegex(self.check("doctor").stdout, re.compile("cpu", re.IGNORECASE))


class Plan(CommandLineTest):
    def test_keys(self):
        plan = self.plan()
        self.assertLessEqual({"input", "output", "preset", "layers", "device", "memory", "plan_hash"}, set(plan))
        self.assertLessEqual({"path", "bytes", "tensors"}, set(plan["input"]))
        self.assertLessEqual({"path", "bytes", "tensors"}, set(plan["output"]))
        self.assertLessEqual({"name", "reason"}, set(plan["preset"]))
        self.assertLessEqual({"host", "device"}, set(plan["memory"]))
        self.assertEqual((plan["input"]["bytes"], plan["input"]["tensors"]), (self.source.stat().st_size, len(self.model)))
        for layer in plan["layers"]:
            self.assertLessEqual({"name", "action", "format", "reason", "in_bytes", "out_bytes"}, set(layer))
            self.assertEqual(layer["in_bytes"], len(self.model[layer["name"]].data))

    def test_layers_are_the_two_dimensional_weights(self):
        plan = self.plan("--exclude", r"blocks\.1\.mlp")
        self.assertEqual(sorted(layer["name"] for layer in plan["layers"]), self.weights)
        self.assertEqual({layer["name"]: layer["action"] for layer in plan["layers"]},
                         {name: "keep" if "blocks.1.mlp" in name else "quantize" for name in self.weights})

    def test_size_is_that_of_the_converted_file(self):
        for fmt in FORMATS:
            with self.subTest(fmt):
                describes = fmt not in ("fp8-cast", *reference_blocks.FOUR_BIT)  # these write no .comfy_quant
                for options in ((), ("--quant-metadata",))[:2 if describes else 1]:
                    plan = self.plan(*options, fmt=fmt)
                    output = self.convert(self.source, fmt, *options)
                    self.assertEqual(plan["output"]["bytes"], output.stat().st_size)
                    self.assertEqual(plan["output"]["tensors"], len(st.read(output).tensors))

    def test_dry_run_is_the_plan_and_writes_nothing(self):
        dry = self.check("convert", self.source, "-o", self.output, *PLAIN, "--dry-run", "--json").json
        self.assertEqual({key: value for key, value in dry.items() if key not in ("seconds", "peak_host_bytes")},
                         self.plan("-o", self.output))
        self.assert_nothing_left(self.output)

    def test_convert_reports_the_plan_and_the_cost(self):
        report = self.check("convert", self.source, "-o", self.output, *PLAIN, "--json").json
        self.assertEqual(report["plan_hash"], self.plan("-o", self.output)["plan_hash"])
        self.assertEqual(report["output"]["bytes"], self.output.stat().st_size)
        self.assertGreater(report["seconds"], 0)
        self.assertGreater(report["peak_host_bytes"], 0)

    def test_hash_depends_on_what_decides_the_bytes(self):
        base = self.plan()["plan_hash"]
        self.assertEqual(base, self.plan()["plan_hash"])
        self.assertEqual(base, self.plan("--threads", 1)["plan_hash"])
        hashes = {base, self.plan(fmt="fp8-row")["plan_hash"], self.plan("--exclude", r"blocks\.1")["plan_hash"],
                  self.plan("--full-precision-mm")["plan_hash"], self.plan("--quant-metadata")["plan_hash"],
                  self.plan(fmt="fp8-block")["plan_hash"], self.plan("--block-size", 128, fmt="fp8-block")["plan_hash"]}
        self.assertEqual(len(hashes), 7)

    def test_explain_gives_a_reason_for_each_layer(self):
        text = self.check("plan", self.source, *PLAIN, "--explain").stdout
        for name in self.weights:
            self.assertIn(name, text)


class Streams(CommandLineTest):
    def test_json_alone_is_on_stdout(self):
        result = self.check("convert", self.source, "-o", self.output, *PLAIN, "--json")
        self.assertIsInstance(result.json, dict)

    def test_quiet_says_nothing_on_stderr(self):
        result = self.check("convert", self.source, "-o", self.output, *PLAIN, "--quiet")
        self.assertEqual(result.stderr, "")

    def test_errors_leave_stdout_empty(self):
        for options in (("--format", "fp9"), ("--format", "fp8", "--json", "--preset", "flux22")):
            self.assertEqual(self.refuse_convert(*options).stdout, "")
        empty = self.folder / "empty.safetensors"
        empty.touch()
        self.assertEqual(self.check("inspect", empty, "--json", code=BAD_INPUT).stdout, "")

    def test_no_terminal_no_control_characters(self):
        result = self.check("convert", self.source, "-o", self.output, *PLAIN)
        self.assertNotRegex(result.stderr + result.stdout, "[\r\x1b]")

    def test_locale_does_not_change_the_results(self):
        texts = {self.check("plan", self.source, *PLAIN, "--json", env=os.environ | {"LC_ALL": locale}).stdout
                 for locale in ("C", "de_DE.UTF-8")}
        self.assertEqual(len(texts), 1)


class LayerOptions(CommandLineTest):
    def test_input_scale(self):
        self.assert_holds(self.convert(self.source, "fp8", "--input-scale"),
                          reference.convert(self.model, "fp8", input_scale=True))

    def test_full_precision_mm(self):
        for fmt in ("fp8", "int8-row", "fp8-block"):
            with self.subTest(fmt):
                self.assert_holds(self.convert(self.source, fmt, "--full-precision-mm"),
                                  reference.convert(self.model, fmt, full_precision_mm=True))


if __name__ == "__main__":
    unittest.main()
