# SPDX-License-Identifier: MIT
# The tests by name; no wildcard, so that none is forgotten in silence or run by accident.

# tests/unit/NAME.c
UNIT_TESTS := \
    test-battery \
    test-bluez-objects \
    test-export \
    test-export-legacy \
    test-export-negotiate \
    test-export-page \
    test-export-text \
    test-jbd-damage \
    test-jbd-decode \
    test-jbd-frame \
    test-jbd-registers \
    test-jbd-vectors \
    test-log \
    test-poller \
    test-recovery \
    test-system \
    test-web \
    test-web-address \
    test-web-clients

# tests/fuzz/NAME.c, with its corpus in tests/fuzz/corpus-…
FUZZ_TESTS := \
    fuzz-export \
    fuzz-frame \
    fuzz-http \
    fuzz-objects \
    fuzz-options

# tests/integration/NAME.py
INTEGRATION_TESTS := \
    test-adapters \
    test-bluetoothd \
    test-connect \
    test-damage \
    test-http \
    test-late \
    test-once \
    test-options \
    test-random \
    test-recovery \
    test-session \
    test-several \
    test-standin \
    test-start \
    test-stop \
    test-systemd \
    test-tour

# Those of them that run under valgrind too: the rest count slots, which a program that is thirty
# times slower does not keep.
VALGRIND_TESTS := \
    test-connect \
    test-stop \
    test-tour
