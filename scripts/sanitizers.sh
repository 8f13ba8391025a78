# shellcheck shell=bash disable=SC2154
# What sanitizers are told: sourced by the scripts that run what was built with them, with the
# project's directory in $root.
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# A report whose other stack is forgotten cannot be suppressed.
export TSAN_OPTIONS=suppressions=$root/test/tsan.supp:history_size=7
