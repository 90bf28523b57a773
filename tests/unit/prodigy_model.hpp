#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace halftone::test {

/// ProdigyPlusScheduleFree 2.0.1 in double precision, for one matrix, except that second moments of tall matrices are
/// factored like those of wide ones.
class ProdigyModel {
 public:
  ProdigyModel(std::size_t rows, std::size_t columns, bool schedule_free, bool speed)
      : rows_(rows),
        columns_(columns),
        schedule_free_(schedule_free),
        speed_(speed),
        x_(rows * columns),
        m_(x_),
        z_(x_),
        v_(x_),
        s_((x_.size() + 10) / 11),
        row_(rows),
        column_(columns) {}

  void step(const std::vector<double>& g, double rate) {
    const std::vector<double> moment = second_moments(g);
    std::vector<double> update(g.size());
    double squares = 0;
    for (std::size_t i = 0; i < g.size(); ++i) {
      m_[i] = 0.9 * m_[i] + 0.1 * d_ * g[i];
      update[i] = (schedule_free_ ? d_ * g[i] : m_[i]) / (std::sqrt(moment[i]) + d_ * 1e-8);
      squares += update[i] * update[i];
    }
    const double clip = 1 / std::sqrt(std::max(std::sqrt(squares / static_cast<double>(g.size())), 1.0));
    for (double& value : update) value *= clip;
    const double next = next_step_size(g);
    move(update, d_ * rate);
    d_ = next;
    ++k_;
  }

  [[nodiscard]] const std::vector<double>& position() const { return x_; }
  [[nodiscard]] double step_size() const { return d_; }
  void set_step_size(double d) { d_ = d; }
  [[nodiscard]] std::vector<double> average() const {
    std::vector<double> result = x_;
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = x_[i] * (1 / 0.9) + z_[i] * (1 - 1 / 0.9);
    return result;
  }

 private:
  /// To 8 significant bits.
  static float bf16(float value) {
    int exponent = 0;
    const float fraction = std::frexp(value, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
  }

  std::vector<double> second_moments(const std::vector<double>& g) {
    std::vector<double> result(g.size());
    if (rows_ < 32 && columns_ < 32) {
      for (std::size_t i = 0; i < g.size(); ++i) result[i] = v_[i] = 0.99 * v_[i] + 0.01 * d_ * d_ * g[i] * g[i];
      return result;
    }
    for (double& value : row_) value *= 0.99;
    for (double& value : column_) value *= 0.99;
    for (std::size_t i = 0; i < g.size(); ++i) {
      row_[i / columns_] += 0.01 * d_ * d_ * g[i] * g[i] / static_cast<double>(columns_);
      column_[i % columns_] += 0.01 * d_ * d_ * g[i] * g[i] / static_cast<double>(rows_);
    }
    double mean = 0;
    for (const double value : row_) mean += value / static_cast<double>(rows_);
    for (std::size_t i = 0; i < g.size(); ++i) result[i] = row_[i / columns_] / (mean + 1e-30) * column_[i % columns_];
    return result;
  }

  double next_step_size(const std::vector<double>& g) {
    const std::vector<double>& where = schedule_free_ ? z_ : x_;
    double c = d_ * d_ / std::sqrt(1e-6);
    double dot = 0;
    double l1 = 0;
    double l2 = 0;
    double denominator = 0;
    for (std::size_t i = 0; i < g.size(); i += 11) {
      dot -= g[i] * where[i];
      l1 += std::fabs(where[i]);
      l2 += where[i] * where[i];
      float& s = s_[i / 11];
      s = bf16(s * static_cast<float>(std::sqrt(0.99)));
      s = bf16(s + static_cast<float>(c) * static_cast<float>(g[i]));
      denominator += static_cast<double>(std::fabs(s));
    }
    if (speed_) {
      const double beta = 1 - std::pow(k_, -0.75);
      dot = k_ == 1 ? dot : beta * last_dot_ + (1 - beta) * dot;
      last_dot_ = dot;
      l1_ = std::max(l1_, l1);
      l2_ = std::max(l2_, std::sqrt(l2));
      c /= (l2_ + 1) * (l2_ + 1);
      dot /= l1_;
    }
    const double before = numerator_;
    numerator_ *= std::sqrt(0.99);
    if (d_ > 1e-6 || c * dot > 0) numerator_ += c * dot;
    largest_ = std::max(largest_, numerator_);
    if (speed_) {
      if (numerator_ < largest_ || numerator_ <= 0 || before <= 0) return d_;
      return std::max(d_, d_ * std::min(std::pow(2, 0.25), std::sqrt(numerator_ / before)));
    }
    denominator = static_cast<double>(bf16(static_cast<float>(denominator)));
    return denominator > 0 ? std::max(d_, std::min(d_ * std::pow(2, 0.25), numerator_ / denominator)) : d_;
  }

  void move(const std::vector<double>& update, double rate) {
    weights_ += rate * rate;
    const double part = rate * rate / weights_;
    for (std::size_t i = 0; i < x_.size(); ++i) {
      if (schedule_free_) {
        x_[i] = (1 - part) * x_[i] + part * z_[i] - rate * (1 - 0.9 * (1 - part)) * update[i];
        z_[i] -= rate * update[i];
      } else {
        x_[i] -= rate * update[i];
      }
    }
  }

  std::size_t rows_, columns_;
  bool schedule_free_, speed_;
  std::vector<double> x_, m_, z_, v_;
  std::vector<float> s_;
  std::vector<double> row_, column_;
  double d_ = 1e-6, numerator_ = 0, largest_ = 0, last_dot_ = 0, l1_ = 1e-8, l2_ = 1e-8, weights_ = 0;
  int k_ = 1;
};

}  // namespace halftone::test
