"""What `formats` says of matrix products, and the options of `bench --ops linear`."""
import json
import unittest

from program import USAGE, ProgramTest


class LinearOptions(ProgramTest):
    def test_formats_says_how_each_is_multiplied(self):
        formats = {entry["name"]: entry["linear"] for entry in json.loads(self.check("formats", "--json").stdout)["formats"]}
        self.assertEqual(formats["fp8"], {"product": "FP8 product", "fast": True, "activations": "FP8 E4M3, one scale",
                                          "transpose": True})
        self.assertFalse(formats["fp8-cast"]["fast"])
        self.assertFalse(formats["nvfp4"]["transpose"])
        self.assertEqual(formats["nf4"]["activations"], "")
        self.assertIn("linear: INT8 product; inputs: INT8", self.check("formats").stdout)

    def test_shapes_are_three_numbers(self):
        for text in ("8", "8x8", "8x8x", "8x8x0", "8x8x8x8", "8x8x8,", "axbxc", "8x8x9999999"):
            with self.subTest(text):
                self.refuse("bench", "--ops", "linear", "--shapes", text, code=USAGE, says=["--shapes takes MxNxK"])

    def test_names_are_known(self):
        self.refuse("bench", "--ops", "linear", "--formats", "fp9", code=USAGE, says=["did you mean 'fp8'"])
        self.refuse("bench", "--ops", "linaer", code=USAGE, says=["--ops"])
        self.refuse("bench", "--shapes", "8x8x8", code=USAGE, says=["--ops"])


if __name__ == "__main__":
    unittest.main()
