# Sourced by the tests of scripts.
# shellcheck shell=bash

# shellcheck disable=SC2034 # for who sources this
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../scripts" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
    echo "FAILED: $*"
    exit 1
}

# What a user is to see: this exit status, one error line, and else no line but ours.
expect_error() { # STATUS GLOB COMMAND...
    local status=0
    "${@:3}" >"$scratch/stdout" 2>"$scratch/stderr" || status=$?
    cat "$scratch/stderr"
    [ $status -eq "$1" ] || fail "'${*:3}' ended with $status, not with $1"
    [ "$(grep -c '^lws-proton: error: ' "$scratch/stderr")" -eq 1 ] || fail "not one error line"
    ! grep -qv '^lws-proton: ' "$scratch/stderr" || fail "a line that is not ours"
    # shellcheck disable=SC2053 # a glob
    [[ $(grep '^lws-proton: error: ' "$scratch/stderr") == *$2* ]] || fail "no error like '$2'"
}
