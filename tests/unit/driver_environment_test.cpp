#include "driver_environment.hpp"

#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "support/temp_folder.hpp"

namespace halftone::tool {
namespace {

/// A variable of the environment, which is as before in the end.
class Variable {
 public:
  explicit Variable(const char* name) : name_(name), had_(std::getenv(name) != nullptr), before_(had_ ? std::getenv(name) : "") {}
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { had_ ? ::setenv(name_, before_.c_str(), 1) : ::unsetenv(name_); }

  void set(const char* value) const { value == nullptr ? ::unsetenv(name_) : ::setenv(name_, value, 1); }
  [[nodiscard]] std::string value() const { return std::getenv(name_) == nullptr ? "" : std::getenv(name_); }

 private:
  const char* name_;
  bool had_;
  std::string before_;
};

/// The files of a driver with GPUs.
class DriverFiles : public ::testing::Test {
 protected:
  void add(const std::string& gpu, const std::string& model) {
    const std::filesystem::path entry = folder_ / "gpus" / gpu;
    std::filesystem::create_directories(entry);
    std::ofstream(entry / "information") << "Model: \t\t " << model << "\nGPU UUID: \t GPU-" << gpu << "\n";
  }
  [[nodiscard]] bool alike() const { return gpus_are_alike(folder_.path()); }

  test::TempFolder folder_;
};

TEST_F(DriverFiles, Several_gpus_of_one_model_are_alike) {
  EXPECT_FALSE(alike());
  add("0000:00:06.0", "A");
  EXPECT_FALSE(alike());
  add("0000:00:07.0", "A");
  EXPECT_TRUE(alike());
  std::filesystem::create_directories(folder_ / "capabilities" / "gpu0" / "mig");
  EXPECT_TRUE(alike());
  std::filesystem::create_directories(folder_ / "capabilities" / "gpu1" / "mig" / "gi3");
  EXPECT_FALSE(alike());
}

TEST_F(DriverFiles, Gpus_of_two_models_are_not) {
  add("0000:00:06.0", "A");
  add("0000:00:07.0", "B");
  EXPECT_FALSE(alike());
}

TEST_F(DriverFiles, Gpus_without_a_model_are_not) {
  for (const char* gpu : {"0000:00:06.0", "0000:00:07.0"}) std::filesystem::create_directories(folder_ / "gpus" / gpu);
  EXPECT_FALSE(alike());
}

TEST_F(DriverFiles, Gpus_that_are_alike_are_hidden_behind_the_first_where_any_will_do) {
  const Variable visible("CUDA_VISIBLE_DEVICES");
  const auto shown = [&](const char* before) {
    visible.set(before);
    hide_gpus_behind({}, folder_.path());
    return visible.value();
  };
  add("0000:00:06.0", "A");
  EXPECT_EQ(shown("0,1"), "0,1");
  add("0000:00:07.0", "A");
  EXPECT_EQ(shown(nullptr), "0");
  EXPECT_EQ(shown("GPU-5,3"), "GPU-5");
  EXPECT_EQ(shown(""), "");
  add("0000:00:08.0", "B");
  EXPECT_EQ(shown("GPU-5,3"), "GPU-5,3");
}

TEST(DriverEnvironment, Connections_are_few_unless_the_user_says_how_many) {
  const Variable connections("CUDA_DEVICE_MAX_CONNECTIONS");
  connections.set(nullptr);
  open_few_connections();
  EXPECT_EQ(connections.value(), "3");
  connections.set("8");
  open_few_connections();
  EXPECT_EQ(connections.value(), "8");
}

TEST(DriverEnvironment, Gpus_behind_the_last_one_named_are_hidden) {
  const Variable visible("CUDA_VISIBLE_DEVICES");
  visible.set(nullptr);
  hide_gpus_behind({0, 2});
  EXPECT_EQ(visible.value(), "0,1,2");
  visible.set("GPU-5,3,GPU-7");
  hide_gpus_behind({1});
  EXPECT_EQ(visible.value(), "GPU-5,3");
  hide_gpus_behind({5});
  EXPECT_EQ(visible.value(), "GPU-5,3");
}

}  // namespace
}  // namespace halftone::tool
