# SPDX-License-Identifier: MIT
#
# "make help" lists the targets with the text after "##".

# The latest entry of debian/changelog names the version.
VERSION := $(shell sed -n '1s/^[^(]*(\([^)]*\)).*/\1/p' debian/changelog)

CC ?= cc
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
V ?= 0

DESTDIR ?=
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
DEFAULTDIR ?= /etc/default

PACKAGES := gio-2.0 gio-unix-2.0 libmicrohttpd bluez
BUILD_DEPS := gcc make pkg-config libglib2.0-dev libmicrohttpd-dev libbluetooth-dev dbus-daemon
CHECK_DEPS := kmod clang clang-format clang-tidy cppcheck valgrind libjson-glib-dev libglib2.0-bin perl \
    python3 python3-prometheus-client python3-seccomp systemd man-db
SOAK_DEPS := bc bison flex xz-utils python3 python3-prometheus-client systemd

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
    -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wnull-dereference -Wdouble-promotion
# So that the same sources give the same bytes in each directory.
REPRODUCIBLE = -ffile-prefix-map=$(CURDIR)=.
# What hardens the binary, as far as the compiler knows it for its target: -fcf-protection is for x86
# only, zeroed variables and level 3 need gcc 12. It is asked when the first file is compiled. Level 3
# replaces the level that dpkg-buildflags defines.
knows = $(shell $(CC) -Werror $(1) -x c -c -o /dev/null /dev/null 2>/dev/null && echo '$(1)')
fortify_level = $(shell echo '\#include <features.h>' | \
    $(CC) -O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -x c -E - >/dev/null 2>&1 && echo 3 || echo 2)
HARDENING = $(eval HARDENING := -fPIE $(foreach flag,-fstack-protector-strong -fstack-clash-protection \
    -fcf-protection=full -ftrivial-auto-var-init=zero,$(call knows,$(flag))) \
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(fortify_level))$(HARDENING)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

BASE_CFLAGS = -std=gnu11 $(WARNINGS) -Iinclude -Isrc -Ibuild -MMD -MP $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -lm

ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

# ---- what the program is made of ---------------------------------------------------------------

include src/sources.mk   # LIB_SOURCES
include tests/tests.mk   # UNIT_TESTS, FUZZ_TESTS, INTEGRATION_TESTS, VALGRIND_TESTS
include tests/sim/sim.mk # SIM_SOURCES
include tests/realstack/realstack.mk # PEER_SOURCES
include tests/bench/bench.mk # BENCH_PROGRAMS, BENCH_DEPS

# Each has objects of its own kind, built by a rule for build/KIND/%.o.
OBJECT_DIRECTORIES := obj san fuzzed coverage bench
objects = $(patsubst %.c,build/$(1)/%.o,$(2))

.PHONY: all
all: build/bms-exporter ## build build/bms-exporter

build/bms-exporter: $(call objects,obj,src/app/main.c) build/obj/libbms.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS) -o $@ $^ $(LIBS)

build/obj/libbms.a: $(call objects,obj,$(LIB_SOURCES))
build/san/libbms.a: $(call objects,san,$(LIB_SOURCES))
build/%/libbms.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsD $@ $^

# Of the Makefile, too, since it has the flags.
build/obj/%.o: %.c Makefile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) $(REPRODUCIBLE) $(CPPFLAGS) $(CFLAGS) $(HARDENING) -c -o $@ $<

# Git's, unless this directory only lies in the tree of another project; or what the maker of a copy of
# the sources has written into .revision.
REVISION = $(shell if prefix=$$(git rev-parse --show-prefix 2>/dev/null) && [ -z "$$prefix" ]; then \
    git describe --always --dirty; else cat .revision 2>/dev/null || echo unknown; fi)

.PHONY: print-revision
print-revision:
	@echo '$(REVISION)'

# Only version.c is compiled again for version and revision.
build/obj/src/system/version.o build/san/src/system/version.o build/coverage/src/system/version.o: build/build-version.h
build/build-version.h: FORCE
	$(Q)mkdir -p build && { echo '#define BUILD_VERSION "$(VERSION)"'; \
	    echo '#define BUILD_REVISION "$(REVISION)"'; } > $@.new && \
	    if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE
FORCE:

# ---- the simulated battery ---------------------------------------------------------------------

build/bms-sim: $(call objects,obj,$(SIM_SOURCES))
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -pie -o $@ $^ $(LIBS)

.PHONY: run
run: deps ## install what is missing, build, run; MAC=AA:BB:CC:DD:EE:FF ARGS="OPTION…", or a simulated battery
	@$(MAKE) -s --no-print-directory -j$(shell nproc) build/bms-exporter $(if $(MAC),,build/bms-sim)
	@$(if $(MAC),exec build/bms-exporter $(ARGS) $(MAC),exec tests/sim/run.sh $(ARGS))

# ---- what is missing on this machine -----------------------------------------------------------

.PHONY: deps check-deps bench-deps
deps: ## install the packages that building and running need
	@tests/install-packages $(BUILD_DEPS)
check-deps:
	@tests/install-packages $(BUILD_DEPS) $(CHECK_DEPS)
bench-deps:
	@tests/install-packages $(BUILD_DEPS) $(BENCH_DEPS)

# ---- tests -------------------------------------------------------------------------------------

TEST_CFLAGS = -Itests $(shell $(PKG_CONFIG) --cflags json-glib-1.0)
TEST_LIBS = $(shell $(PKG_CONFIG) --libs json-glib-1.0)

build/san/%.o: %.c
	$(call say,'CC san',$<)
	$(Q)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) $(TEST_CFLAGS) $(CPPFLAGS) -O1 -g -fPIC $(SANITIZE) -c -o $@ $<

# The same program with sanitizers in.
build/san/bms-exporter: $(call objects,san,src/app/main.c) build/san/libbms.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(LIBS)

# A shared library, so that a change of one file of src/ links one thing again instead of every test.
build/san/libbms.so: $(call objects,san,$(LIB_SOURCES))
	$(call say,LINK,$@)
	$(Q)$(CC) $(SANITIZE) -shared -o $@ $^ $(LIBS)

build/unit/%: build/san/tests/unit/%.o | build/san/libbms.so
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(SANITIZE) -o $@ $< build/san/libbms.so '-Wl,-rpath,$$ORIGIN/../san' $(LIBS) $(TEST_LIBS)

# Clocks that an integration test sets; preloaded into the program.
build/clock-preload.so: tests/integration/clock-preload.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) -fPIC -shared -o $@ $<

# A fuzz target with a small main instead of a fuzzer: runs its corpus, without clang.
build/corpus/%: build/san/tests/fuzz/%.o build/san/tests/fuzz/fuzz-main.o build/san/libbms.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(SANITIZE) $(FUZZ_LDFLAGS) -o $@ $^ $(LIBS)

# What belongs to one target only, whether it is linked with a fuzzer or not.
build/corpus/fuzz-bluez: $(call objects,san,$(FUZZ_BLUEZ_SOURCES))
build/fuzz/fuzz-bluez: $(call objects,fuzzed,$(FUZZ_BLUEZ_SOURCES))
build/corpus/fuzz-bluez build/fuzz/fuzz-bluez: FUZZ_LDFLAGS = $(FUZZ_BLUEZ_WRAPPED:%=-Wl,--wrap=%)

# So that the sanitizers see each of GLib's allocations.
export G_SLICE := always-malloc

UNIT_BINARIES := $(UNIT_TESTS:%=build/unit/%)
CORPUS_BINARIES := $(FUZZ_TESTS:%=build/corpus/%)
# Each integration test runs with the program as it is shipped and with sanitizers in it, some under
# valgrind too.
INTEGRATION_RUNS := $(VALGRIND_TESTS:%=build/integration/valgrind/%) \
    $(INTEGRATION_TESTS:%=build/integration/shipped/%) \
    $(filter-out $(patsubst %,build/integration/sanitized/%,$(SLOW_TESTS) $(SHIPPED_TESTS)),$(INTEGRATION_TESTS:%=build/integration/sanitized/%))

build/integration/%: tests/integration/run-in-mode
	$(Q)mkdir -p $(@D) && printf '#!/bin/sh\nexec %s %s %s "$$@"\n' '$(CURDIR)/$<' $(subst /, ,$*) > $@ && chmod +x $@

.PHONY: unit integration check test test-offline
unit: $(UNIT_BINARIES) ## run the unit tests
	@prove -j$(shell nproc) $(UNIT_BINARIES)

# For builds of the package: installs nothing, downloads nothing, needs neither root nor a system bus.
test-offline: build/bms-exporter $(UNIT_BINARIES) $(CORPUS_BINARIES) ## run the unit tests and the fuzz corpora, and nothing that needs a network
	@prove -j$(shell nproc) tests/hardening tests/completion $(UNIT_BINARIES) $(CORPUS_BINARIES)

ifneq ($(filter test,$(MAKECMDGOALS)),)
ifeq ($(filter test-$(T),$(UNIT_TESTS) $(INTEGRATION_TESTS)),)
$(error T=$(T): tests/tests.mk has no test-$(T))
endif
endif
# A unit test, an integration test (ONLY= a pattern of its cases), or both of that name.
test: build/bms-exporter build/bms-sim build/clock-preload.so build/san/libbms.so $(filter build/unit/test-$(T),$(UNIT_BINARIES)) ## run the tests named test-T: make test T=poller [ONLY=PATTERN]
	@$(if $(filter test-$(T),$(UNIT_TESTS)),prove -v build/unit/test-$(T))
	@$(if $(filter test-$(T),$(INTEGRATION_TESTS)),tests/integration/run-in-mode shipped test-$(T) $(ONLY))

integration: build/bms-exporter build/bms-sim build/clock-preload.so $(INTEGRATION_TESTS:%=build/integration/shipped/%) ## run the integration tests with the program as shipped
	@prove -j2 $(INTEGRATION_TESTS:%=build/integration/shipped/%)

# The first ones compute, the rest mostly wait for what the simulated radio takes.
CHECK_JOBS = $(shell echo $$((2 * $$(nproc))))

check: check-deps ## install what is missing, build, run every test
	@$(MAKE) --no-print-directory -j$(shell nproc) check-build
	@prove -j$(CHECK_JOBS) --timer tests/realstack/run tests/lint tests/hardening tests/completion $(UNIT_BINARIES) $(CORPUS_BINARIES) $(INTEGRATION_RUNS)

# The shipped binary against the real bluetoothd and kernel, in virtual machines.
.PHONY: check-realstack
check-realstack: check-deps ## test against the real bluetoothd and kernel in virtual machines
	@$(MAKE) --no-print-directory -j$(shell nproc) $(REALSTACK)
	@BMS_JOBS=$(shell nproc) prove -v tests/realstack/run

REALSTACK := build/bms-exporter build/realstack-peer build/realstack-agent build/realstack/fetched

# A day of virtual time there, in a user-mode kernel; tests/soak/README.md has the variables.
.PHONY: soak
soak: deps ## run a day of virtual time with random faults; SOAK_HOURS=24 SOAK_SEED=
	@tests/install-packages $(SOAK_DEPS)
	@$(MAKE) -s --no-print-directory -j$(shell nproc) build/bms-exporter build/realstack-peer
	@tests/soak/run

# How soon fresh values come after each kind of fault; tests/faults/README.md has the variables.
FAULTS_STAGE ?= standin realstack
.PHONY: fault-table
fault-table: check-deps ## measure how soon it recovers from each fault, into doc/FAULTS.md; FAULTS_INJECTIONS=20 FAULTS_SEED=
	@tests/install-packages $(if $(filter realstack,$(FAULTS_STAGE)),$(SOAK_DEPS))
	@$(MAKE) -s --no-print-directory -j$(shell nproc) build/bms-exporter build/bms-sim build/realstack-peer
	@status=0; for stage in $(FAULTS_STAGE); do rm -f build/faults/$$stage.json; tests/faults/$$stage || status=1; done; \
	    tests/faults/table && exit $$status

build/realstack-peer: $(call objects,obj,$(PEER_SOURCES))
build/realstack-agent: $(call objects,obj,$(AGENT_SOURCES))
build/realstack-%:
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -pie -o $@ $^ -lm

# Programs and kernel of the virtual machine; before the tests, which are not to wait for them.
build/realstack/fetched:
	$(Q)tests/realstack/run --fetch && touch $@

# Measures, and judges nothing: doc/BENCHMARK.md. BENCH_PARTS="poll scrape" measures only these again.
.PHONY: bench
bench: bench-deps ## measure what it costs, beside a bare process and a Python exporter; BENCH_PARTS=
	@$(MAKE) -s --no-print-directory -j$(shell nproc) build/bms-exporter build/bms-sim $(BENCH_PROGRAMS:%=build/bench/%)
	@/usr/bin/python3 -B tests/bench/bench.py build/bench.json $(BENCH_PARTS)

# The same flags as the program's, so that instructions can be compared.
build/bench/%: build/bench/tests/bench/%.o build/obj/libbms.a
	$(call say,BENCH,$@)
	$(Q)$(CC) $(CFLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed -o $@ $^ $(LIBS)

build/bench/%.o: %.c
	$(call say,'CC bench',$<)
	$(Q)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) -Itests $(HARDENING) $(CFLAGS) -c -o $@ $<

.PHONY: check-build
check-build: build/bms-exporter build/bms-sim build/clock-preload.so build/san/bms-exporter build/tools/promtool \
    $(REALSTACK) $(UNIT_BINARIES) $(CORPUS_BINARIES) $(INTEGRATION_RUNS)

# promtool comes only in the package of the Prometheus server. Nobody who tests this program asked
# for one on the machine, so it is taken out of the package and the package left alone.
build/tools/promtool:
	$(Q)mkdir -p $(@D) && if command -v promtool >/dev/null; then ln -sf "$$(command -v promtool)" $@; else \
	    cd $(@D) && apt-get -q download prometheus && dpkg-deb -x prometheus_*.deb prometheus && \
	    ln -sf prometheus/usr/bin/promtool promtool; fi

# ---- care --------------------------------------------------------------------------------------

C_FILES = $(shell git ls-files --cached --others --exclude-standard '*.c' '*.h')

.PHONY: lint print-flags format fuzz coverage clean

compile_commands.json: build/build-version.h FORCE ## write what clangd and others need
	$(Q)for file in $(filter %.c,$(C_FILES)); do \
	    printf '{"directory": "%s", "file": "%s", "command": "cc %s -c %s"},\n' '$(CURDIR)' "$$file" \
	        '$(filter-out -MMD -MP,$(BASE_CFLAGS)) $(TEST_CFLAGS)' "$$file"; \
	done | sed -e '1s/^/[/' -e '$$s/,$$/]/' > $@
# For tools that want to compile as we do.
print-flags: build/build-version.h
	@echo $(filter-out -MMD -MP,$(BASE_CFLAGS)) $(TEST_CFLAGS)

lint: build/bms-exporter build/tools/promtool ## check format, warnings, static analysis and documents
	@prove -v tests/lint

format: ## format the C files
	clang-format -i $(C_FILES)

# FUZZ_SECONDS each; what is found is kept below build/fuzz.
FUZZ_SECONDS ?= 60
fuzz: $(FUZZ_TESTS:%=build/fuzz/%) ## run each fuzz target for FUZZ_SECONDS=60
	@for target in $(FUZZ_TESTS); do mkdir -p build/fuzz/corpus-$$target && (cd build/fuzz && \
	    ./$$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 corpus-$$target ../../tests/fuzz/corpus-$${target#fuzz-}) || exit 1; done

FUZZ_SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
build/fuzzed/%.o: %.c
	$(call say,'CC fuzz',$<)
	$(Q)mkdir -p $(@D) && clang $(BASE_CFLAGS) $(TEST_CFLAGS) -O1 -g -fsanitize=fuzzer-no-link $(FUZZ_SANITIZE) -c -o $@ $<

build/fuzzed/src/system/version.o: build/build-version.h
build/fuzzed/libbms.a: $(call objects,fuzzed,$(LIB_SOURCES))

build/fuzz/%: build/fuzzed/tests/fuzz/%.o build/fuzzed/libbms.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && clang -fsanitize=fuzzer $(FUZZ_SANITIZE) $(FUZZ_LDFLAGS) -o $@ $^ $(LIBS)

# Which lines of src/ the unit tests run; build/coverage/index.html shows them. A test that fails has
# run lines, too.
COVERAGE_BINARIES := $(UNIT_TESTS:%=build/coverage/unit/%)
coverage: check-deps ## show which lines the unit tests run, in build/coverage/index.html
	@tests/install-packages gcovr
	@$(MAKE) --no-print-directory -j$(shell nproc) $(COVERAGE_BINARIES)
	@find build/coverage -name '*.gcda' -delete
	@for test in $(COVERAGE_BINARIES); do prove -Q $$test || :; done
	@gcovr --root . --object-directory build/coverage --filter src/ --print-summary \
	    --html-details build/coverage/index.html build/coverage

build/coverage/unit/%: build/coverage/tests/unit/%.o build/coverage/libbms.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) --coverage -o $@ $^ $(LIBS) $(TEST_LIBS)

build/coverage/libbms.a: $(call objects,coverage,$(LIB_SOURCES))
build/coverage/%.o: %.c
	$(call say,'CC cov',$<)
	$(Q)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) $(TEST_CFLAGS) $(CPPFLAGS) -O0 -g --coverage -c -o $@ $<

# The chroots that packages are built in belong to root.
clean: ## remove build/
	rm -rf build 2>/dev/null || sudo rm -rf build

# ---- installing --------------------------------------------------------------------------------

.PHONY: install install-program uninstall
install-program: build/bms-exporter
	install -D -m 755 build/bms-exporter $(DESTDIR)$(BINDIR)/bms-exporter
	install -D -m 644 doc/bms-exporter.1 $(DESTDIR)$(MANDIR)/man1/bms-exporter.1
	install -D -m 644 completions/bms-exporter $(DESTDIR)$(COMPLETIONDIR)/bms-exporter

install: install-program ## install below PREFIX=/usr/local; DESTDIR=
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|@BINDIR@|$(BINDIR)|' systemd/bms-exporter.service.in > $(DESTDIR)$(UNITDIR)/bms-exporter.service
	chmod 644 $(DESTDIR)$(UNITDIR)/bms-exporter.service
	install -D -m 644 systemd/bms-exporter.sysusers $(DESTDIR)$(SYSUSERSDIR)/bms-exporter.conf
	test -e $(DESTDIR)$(DEFAULTDIR)/bms-exporter || \
	    install -D -m 644 systemd/bms-exporter.default $(DESTDIR)$(DEFAULTDIR)/bms-exporter

# Leaves $(DEFAULTDIR)/bms-exporter: it holds what its owner has written.
uninstall: ## remove what was installed, except its settings
	rm -f $(DESTDIR)$(BINDIR)/bms-exporter $(DESTDIR)$(MANDIR)/man1/bms-exporter.1 \
	    $(DESTDIR)$(COMPLETIONDIR)/bms-exporter $(DESTDIR)$(UNITDIR)/bms-exporter.service $(DESTDIR)$(SYSUSERSDIR)/bms-exporter.conf

# ---- the Debian package ------------------------------------------------------------------------

# ARCH and RELEASE of another machine: built in a chroot that is made once, below CHROOTS.
.PHONY: deb deb-check deb-install deb-reproducible
deb: ## build the package in build/deb; ARCH=amd64|arm64|armhf RELEASE=bookworm|trixie
	@debian/make-deb build/deb '$(ARCH)' '$(RELEASE)'

deb-check: ## check the packages in build/deb with lintian, and the hardening of the binary in them
	@tests/install-packages lintian binutils
	@prove -v tests/deb

deb-install: deb build/bms-sim ## build the package, and install, use, upgrade and purge it in a fresh chroot; ARCH= RELEASE=
	@tests/install-packages mmdebstrap
	@prove -v tests/deb-install :: '$(ARCH)' '$(RELEASE)'

deb-reproducible: ## build the package twice, in two directories, and compare the bytes; ARCH= RELEASE=
	@debian/make-deb build/deb '$(ARCH)' '$(RELEASE)'
	@rm -rf build/deb-again
	@debian/make-deb build/deb-again '$(ARCH)' '$(RELEASE)'
	@cd build/deb-again && for package in *.deb; do \
	    cmp "$$package" "../deb/$$package" && sha256sum "$$package" || exit 1; done

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

.SECONDARY:
# Of each kind of object that is built; what else is below build/ was not built here.
-include $(shell find $(OBJECT_DIRECTORIES:%=build/%) -name '*.d' 2>/dev/null)
