# SPDX-License-Identifier: MIT
# The tests by name; no wildcard, so that none is forgotten in silence or run by accident.

# tests/unit/NAME.c
UNIT_TESTS := \
    test-device \
    test-bluez-errors \
    test-bluez-objects \
    test-documents \
    test-command \
    test-export \
    test-export-board \
    test-export-legacy \
    test-export-negotiate \
    test-export-page \
    test-export-text \
    test-jbd-damage \
    test-jbd-decode \
    test-jbd-foreign \
    test-jbd-frame \
    test-jbd-password \
    test-jbd-registers \
    test-jbd-vectors \
    test-log \
    test-poller \
    test-recovery \
    test-rover \
    test-rover-vectors \
    test-rungs \
    test-rtt \
    test-scan \
    test-slow \
    test-system \
    test-turns \
    test-unlock \
    test-terminal \
    test-web \
    test-web-address \
    test-web-clients

# tests/fuzz/NAME.c, with its corpus in tests/fuzz/corpus-…
FUZZ_TESTS := \
    fuzz-bluez \
    fuzz-export \
    fuzz-frame \
    fuzz-http \
    fuzz-objects \
    fuzz-options \
    fuzz-rover

# fuzz-bluez stands in for GDBus, the clock and the main loop: these calls of src/ end in fake-bus.c.
FUZZ_BLUEZ_SOURCES := tests/fuzz/fake-bus.c tests/fuzz/fake-bluetoothd.c
FUZZ_BLUEZ_WRAPPED := \
    g_bus_unwatch_name \
    g_bus_watch_name_on_connection \
    g_dbus_address_get_for_bus_sync \
    g_dbus_connection_call \
    g_dbus_connection_call_finish \
    g_dbus_connection_is_closed \
    g_dbus_connection_new_for_address \
    g_dbus_connection_new_for_address_finish \
    g_dbus_connection_signal_subscribe \
    g_dbus_connection_signal_unsubscribe \
    g_get_monotonic_time \
    g_idle_add \
    g_source_remove \
    g_timeout_add \
    g_timeout_add_seconds \
    log_debug \
    log_error \
    log_info \
    log_warn

# tests/integration/NAME.py
INTEGRATION_TESTS := \
    test-adapters \
    test-bluetoothd \
    test-boards \
    test-check \
    test-clock \
    test-config \
    test-connect \
    test-content \
    test-damage \
    test-denied \
    test-first-run \
    test-http \
    test-late \
    test-once \
    test-options \
    test-password \
    test-random \
    test-recovery \
    test-rivals \
    test-sandbox \
    test-session \
    test-scan \
    test-several \
    test-slow \
    test-standin \
    test-start \
    test-stop \
    test-systemd \
    test-tour

# Those of them that run under valgrind too: the rest count slots, which a program that is thirty
# times slower does not keep.
VALGRIND_TESTS := \
    test-stop \
    test-tour

# Those that do little but wait, for bounds of a minute, and so run as shipped only.
SLOW_TESTS := \
    test-late \
    test-slow

# Those about the program as it is shipped: sanitizers make system calls of their own.
SHIPPED_TESTS := \
    test-sandbox
