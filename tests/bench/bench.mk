# SPDX-License-Identifier: MIT
# What the measurements need besides the program: see doc/BENCHMARK.md.
BENCH_PROGRAMS := floor decode render
BENCH_DEPS := wrk valgrind strace binutils python3 python3-dbus python3-gi python3-prometheus-client
