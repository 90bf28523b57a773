#include "plan/rules_json.hpp"

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"

namespace halftone {
namespace {

using test::fails_with;

/// The rules of a file that holds `rules`, a comma-separated list of objects.
std::vector<Rule> parse(const std::string& rules) { return parse_rules(R"({"rules":[)" + rules + "]}", "r.json"); }

TEST(ParseRules, Every_field_is_read) {
  const auto rules = parse(R"({"match":{"glob":"*.attn.*"},"action":"quantize","format":"fp8-block","block_size":128,"why":"large"})");
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(rules[0].match.text(), "glob '*.attn.*'");
  EXPECT_EQ(rules[0].action, Action::quantize);
  EXPECT_EQ(rules[0].format->name(), "fp8-block");
  EXPECT_EQ(rules[0].block_size, 128U);
  EXPECT_EQ(rules[0].why, "large");
  EXPECT_EQ(rules[0].origin, "r.json rule 1");
}

TEST(ParseRules, Fields_that_are_absent_have_defaults) {
  const Rule rule = parse(R"({"match":{"contains":"x"},"action":"quantize"})")[0];
  EXPECT_EQ(rule.format, nullptr);
  EXPECT_EQ(rule.block_size, 0U);
  EXPECT_EQ(rule.why, "");
}

TEST(ParseRules, Every_action_and_type_is_known) {
  EXPECT_EQ(parse(R"({"match":{"regex":"x"},"action":"keep"})")[0].action, Action::keep);
  EXPECT_EQ(parse(R"({"match":{"regex":"x"},"action":"drop"})")[0].action, Action::drop);
  EXPECT_EQ(parse(R"({"match":{"regex":"x"},"action":"cast","dtype":"f16"})")[0].dtype, Dtype::F16);
  EXPECT_EQ(parse(R"({"match":{"regex":"x"},"action":"cast","dtype":"bf16"})")[0].dtype, Dtype::BF16);
  EXPECT_EQ(parse(R"({"match":{"regex":"x"},"action":"cast","dtype":"f32"})")[0].dtype, Dtype::F32);
}

TEST(ParseRules, Order_is_kept_and_counted_from_one) {
  const auto rules = parse(R"({"match":{"contains":"b"},"action":"keep"},{"match":{"contains":"a"},"action":"drop"})");
  EXPECT_EQ(rules[0].match.text(), "contains 'b'");
  EXPECT_EQ(rules[1].origin, "r.json rule 2");
}

TEST(ParseRules, Empty_list_is_no_error) { EXPECT_TRUE(parse("").empty()); }

struct BadFile {
  const char* text;
  std::vector<std::string> words;
};

TEST(ParseRules, Broken_file_is_refused_with_its_name) {
  const std::vector<BadFile> files = {
      {"", {"not valid JSON"}},
      {"{", {"not valid JSON", "byte"}},
      {"[]", {"not a JSON object"}},
      {"{}", {"'rules' is missing"}},
      {R"({"rules":{}})", {"must be an array"}},
      {R"({"rule":[]})", {"unknown key 'rule'", "did you mean 'rules'"}},
      {R"({"rules":[],"rules":[]})", {"'rules' stands twice"}},
      {R"({"rules":[]} x)", {"not valid JSON"}},
  };
  for (const BadFile& file : files) {
    for (const std::string& word : file.words) {
      EXPECT_THAT([&] { (void)parse_rules(file.text, "r.json"); }, fails_with(ErrorKind::bad_rules, "r.json", word)) << file.text;
    }
  }
}

TEST(ParseRules, Nul_after_the_text_is_refused) {
  EXPECT_THAT([] { (void)parse_rules(std::string_view("{\"rules\":[]}\0", 13), "r.json"); }, fails_with(ErrorKind::bad_rules, "NUL"));
}

TEST(ParseRules, Broken_rule_is_refused_with_its_number) {
  const std::vector<BadFile> rules = {
      {"5", {"not a JSON object"}},
      {R"({"action":"keep"})", {"'match' is missing"}},
      {R"({"match":"x","action":"keep"})", {"'match' must be an object"}},
      {R"({"match":{},"action":"keep"})", {"contains, glob, regex"}},
      {R"({"match":{"glob":"x","regex":"y"},"action":"keep"})", {"contains, glob, regex"}},
      {R"({"match":{"globb":"x"},"action":"keep"})", {"unknown match 'globb'", "did you mean 'glob'"}},
      {R"({"match":{"glob":5},"action":"keep"})", {"'glob'", "text"}},
      {R"({"match":{"glob":""},"action":"keep"})", {"not empty"}},
      {R"x({"match":{"regex":"("},"action":"keep"})x", {"'('", "no regular expression"}},
      {R"({"match":{"glob":"x"}})", {"'action' is missing"}},
      {R"({"match":{"glob":"x"},"action":5})", {"'action' must be a text"}},
      {R"({"match":{"glob":"x"},"action":"kep"})", {"unknown action 'kep'", "did you mean 'keep'"}},
      {R"({"match":{"glob":"x"},"action":"keep","fromat":"fp8"})", {"unknown key 'fromat'", "did you mean 'format'"}},
      {R"({"match":{"glob":"x"},"action":"quantize","format":"fp9"})", {"'fp9'", "did you mean 'fp8'"}},
      {R"({"match":{"glob":"x"},"action":"quantize","block_size":0})", {"'block_size'", "1 to 65536"}},
      {R"({"match":{"glob":"x"},"action":"quantize","block_size":-64})", {"'block_size'"}},
      {R"({"match":{"glob":"x"},"action":"quantize","block_size":"64"})", {"'block_size'"}},
      {R"({"match":{"glob":"x"},"action":"quantize","block_size":65537})", {"'block_size'"}},
      {R"({"match":{"glob":"x"},"action":"quantize","block_size":18446744073709551615})", {"'block_size'"}},
      {R"({"match":{"glob":"x"},"action":"keep","format":"fp8"})", {"'format' has no effect", "keep"}},
      {R"({"match":{"glob":"x"},"action":"drop","block_size":64})", {"'block_size' has no effect", "drop"}},
      {R"({"match":{"glob":"x"},"action":"quantize","dtype":"bf16"})", {"'dtype' has no effect", "quantize"}},
      {R"({"match":{"glob":"x"},"action":"cast"})", {"cast needs a 'dtype'"}},
      {R"({"match":{"glob":"x"},"action":"cast","dtype":"b16"})", {"unknown dtype 'b16'", "did you mean 'bf16'"}},
      {R"({"match":{"glob":"x"},"action":"keep","why":1})", {"'why' must be a text"}},
      {R"({"match":{"glob":"x"},"action":"keep","action":"drop"})", {"'action' stands twice"}},
  };
  for (const BadFile& rule : rules) {
    const std::string good = R"({"match":{"glob":"y"},"action":"keep"},)";
    // Duplicate keys are found while the whole file is parsed, before rules are counted.
    const std::string where = rule.words[0].find("twice") == std::string::npos ? "r.json rule 2: " : "r.json: ";
    for (const std::string& word : rule.words) {
      EXPECT_THAT([&] { (void)parse(good + rule.text); }, fails_with(ErrorKind::bad_rules, where, word)) << rule.text;
    }
  }
}

}  // namespace
}  // namespace halftone
