// SPDX-License-Identifier: MIT
// Percentiles of values that are kept only nearly.
#include "check.hpp"
#include "histogram.hpp"
#include "test_main.hpp"

using ws_load::Histogram;

namespace {

constexpr double kError = 1.0 / 128;

void small_values_are_exact() {
    Histogram histogram;
    for (uint64_t value = 1; value <= 100; ++value)
        histogram.record(value);
    CHECK_EQ(histogram.total(), 100u);
    CHECK_EQ(histogram.percentile(1), 1u);
    CHECK_EQ(histogram.percentile(50), 50u);
    CHECK_EQ(histogram.percentile(99), 99u);
    CHECK_EQ(histogram.percentile(100), 100u);
}

void any_value_is_nearly_right_and_never_too_low() {
    for (uint64_t value = 1; value < UINT64_MAX / 3; value += 1 + value / 7) {
        Histogram histogram;
        histogram.record(value);
        const uint64_t kept = histogram.percentile(50);
        CHECK_GE(kept, value);
        CHECK_LE(static_cast<double>(kept - value), static_cast<double>(value) * kError);
    }
}

void the_largest_value_has_a_place() {
    Histogram histogram;
    histogram.record(UINT64_MAX);
    CHECK_EQ(histogram.percentile(100), UINT64_MAX);
}

void a_rare_value_is_in_the_high_percentiles_only() {
    Histogram histogram;
    histogram.record(10, 999);
    histogram.record(5000);
    CHECK_EQ(histogram.percentile(99), 10u);
    CHECK_EQ(histogram.percentile(99.9), 10u);
    CHECK_GE(histogram.percentile(99.95), 5000u);
}

void added_histograms_count_together() {
    Histogram one, other;
    one.record(1);
    other.record(3, 2);
    one.add(other);
    CHECK_EQ(one.total(), 3u);
    CHECK_EQ(one.percentile(33), 1u);
    CHECK_EQ(one.percentile(67), 3u);
}

void without_values_there_is_zero() { CHECK_EQ(Histogram().percentile(99), 0u); }

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(small_values_are_exact),
        E2E_TEST(any_value_is_nearly_right_and_never_too_low),
        E2E_TEST(the_largest_value_has_a_place),
        E2E_TEST(a_rare_value_is_in_the_high_percentiles_only),
        E2E_TEST(added_histograms_count_together),
        E2E_TEST(without_values_there_is_zero),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
