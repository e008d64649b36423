# tests/unit/test_*.c are programs of their own; what else lies there is linked into each of them.
# tests/fuzz/fuzz_*.c have one entry point for libFuzzer and for the replay of their corpora.
TEST_LIBRARIES := $(filter libbyoh-install,$(LIBRARIES)) $(filter-out libbyoh-install,$(LIBRARIES))

UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_SUPPORT := $(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c))
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

define unit_test
TEST_PROGRAMS += tests/unit/$(1)
tests/unit/$(1).sources := tests/unit/$(1).c $(UNIT_SUPPORT)
tests/unit/$(1).libraries := $(TEST_LIBRARIES)
tests/unit/$(1).ldlibs := -lcmocka
endef
$(foreach test,$(UNIT_TESTS),$(eval $(call unit_test,$(test))))

define fuzz_replay
TEST_PROGRAMS += tests/fuzz/$(1)
tests/fuzz/$(1).sources := tests/fuzz/$(1).c tests/fuzz/replay.c
tests/fuzz/$(1).libraries := $(TEST_LIBRARIES)
endef
$(foreach target,$(FUZZ_TARGETS),$(eval $(call fuzz_replay,$(target))))

# A helper of the commands' tests that needs our own libraries to make what no tool of ours makes.
TEST_PROGRAMS += tests/cli/hostile-bundle
tests/cli/hostile-bundle.sources := tests/cli/hostile-bundle.c tests/unit/bundle-fixture.c \
	tests/unit/forged-bundle.c
tests/cli/hostile-bundle.libraries := $(TEST_LIBRARIES)

# The pulled plug: what a disk may hold at a moment, and the tree on it as text.
TEST_PROGRAMS += tests/fault/replay-log tests/fault/plug-snapshot
tests/fault/replay-log.sources := tests/fault/replay-log.c
tests/fault/plug-snapshot.sources := tests/fault/plug-snapshot.c tests/unit/tree-snapshot.c
tests/fault/plug-snapshot.libraries := $(TEST_LIBRARIES)

# A port with a VLAN, for whole machines.
TEST_PROGRAMS += tests/host/vlan-port
tests/host/vlan-port.sources := tests/host/vlan-port.c

# What an installation feeds to containerd, for make bench.
TEST_PROGRAMS += tests/bench/image-archive
tests/bench/image-archive.sources := tests/bench/image-archive.c
tests/bench/image-archive.libraries := $(TEST_LIBRARIES)

# What kills and fails system calls, what that is tried on, what compares the trees afterwards, and what does
# so at point after point.
FAULT_PROGRAMS := inject subject snapshot sweep
TEST_PROGRAMS += $(FAULT_PROGRAMS:%=tests/fault/%)
tests/fault/inject.sources := tests/fault/inject.c tests/fault/changing-calls.c
tests/fault/subject.sources := tests/fault/subject.c
tests/fault/snapshot.sources := tests/fault/snapshot.c tests/fault/listing.c tests/unit/tree-snapshot.c
tests/fault/snapshot.libraries := $(TEST_LIBRARIES)
tests/fault/sweep.sources := tests/fault/sweep.c tests/fault/copy-tree.c tests/fault/listing.c tests/unit/tree-snapshot.c
tests/fault/sweep.libraries := $(TEST_LIBRARIES)

# Tests that keep a processor busy run side by side; a machine keeps both.
JOBS := --jobs $(shell nproc)

# run LABEL,OPTIONS,TESTS
run_tests = @tests/run --label $(1) --build $(BUILD) $(2) $(3)

CHECK_PARTS := check-unit check-asan check-tsan check-fuzz check-cli check-fault check-host

# How many points of each scenario and kind of failure `make check` takes; check-fault alone takes all.
FAULT_SAMPLE ?= 6

check: all ## Run the tests, all but the long ones
	@tests/run --build $(BUILD) --begin
	@for part in $(CHECK_PARTS); do \
		printf '\n==> %s\n' $$part >&2; \
		FAULT_SAMPLE=$(FAULT_SAMPLE) BYOH_RESULTS=$(BUILD)/check.results $(MAKE) --no-print-directory $$part || \
			tests/run --build $(BUILD) --broken $$part; \
	done
	@tests/run --build $(BUILD) --left "fuzz: campaigns of $(FUZZ_SECONDS) s for each target (make fuzz)"
	@tests/run --build $(BUILD) --sum

check-full: all ## Run the tests, long ones and fuzz campaigns included
	@tests/run --build $(BUILD) --begin
	@for part in $(CHECK_PARTS) fuzz; do \
		printf '\n==> %s\n' $$part >&2; \
		BYOH_CHECK_FULL=1 BYOH_RESULTS=$(BUILD)/check.results $(MAKE) --no-print-directory $$part || \
			tests/run --build $(BUILD) --broken $$part; \
	done
	@tests/run --build $(BUILD) --sum

check-unit: $(UNIT_TESTS:%=$(BUILD)/debug/tests/unit/%) ## Run the unit tests
	$(call run_tests,check-unit,$(JOBS),$(filter $(BUILD)/%,$^))

check-asan: export ASAN_OPTIONS := detect_leaks=1:detect_stack_use_after_return=1:$(ASAN_OPTIONS)
check-asan: export UBSAN_OPTIONS := print_stacktrace=1:$(UBSAN_OPTIONS)
check-asan: $(UNIT_TESTS:%=$(BUILD)/asan/tests/unit/%) ## Run the unit tests with ASan and UBSan
	$(call run_tests,check-asan,$(JOBS),$(filter $(BUILD)/%,$^))

# Without address randomisation, since the sanitizer's fixed maps collide with that of newer kernels.
check-tsan: export TSAN_OPTIONS := $(patsubst %,suppressions=%:,$(wildcard tests/tsan.supp))$(TSAN_OPTIONS)
check-tsan: $(UNIT_TESTS:%=$(BUILD)/tsan/tests/unit/%) ## Run the unit tests with TSan
	$(call run_tests,check-tsan,$(JOBS) --wrap 'setarch -R',$(filter $(BUILD)/%,$^))

check-fuzz: export UBSAN_OPTIONS := print_stacktrace=1:$(UBSAN_OPTIONS)
check-fuzz: $(FUZZ_TARGETS:%=$(BUILD)/asan/tests/fuzz/%) ## Replay the corpora of the fuzz targets
	$(call run_tests,check-fuzz,$(JOBS) --corpus tests/fuzz/corpus,$(filter $(BUILD)/%,$^))

check-cli check-fault check-host: export BYOH_BUNDLE := $(abspath $(BUILD)/byoh-bundle)
check-cli check-fault check-host: export BYOH_INSTALL := $(abspath $(BUILD)/byoh-install)
check-cli: export BYOH_HOSTILE := $(abspath $(BUILD)/debug/tests/cli/hostile-bundle)
check-cli: all $(BUILD)/debug/tests/cli/hostile-bundle ## Run the tests of the commands
	$(call run_tests,check-cli,$(JOBS),$(filter-out tests/cli/lib.sh,$(wildcard tests/cli/*.sh)))

# The variables that tests/fault/run knows narrow it down.
check-fault: export BYOH_FAULT := $(abspath $(BUILD)/debug/tests/fault)
check-fault: all $(FAULT_PROGRAMS:%=$(BUILD)/debug/tests/fault/%) ## Kill and fail every system call that changes something
	$(call run_tests,check-fault,--stream --timeout 14400,$(wildcard tests/fault/run))

check-host: export BYOH_FAULT_TOOLS := $(abspath $(BUILD)/debug/tests/fault)
check-host: export BYOH_VLAN_PORT := $(abspath $(BUILD)/debug/tests/host/vlan-port)
check-host: all $(BUILD)/debug/tests/fault/replay-log $(BUILD)/debug/tests/fault/plug-snapshot $(BUILD)/debug/tests/host/vlan-port ## Run the tests in whole machines
	$(call run_tests,check-host,--stream --timeout $(if $(BYOH_CHECK_FULL),36000,7200),$(wildcard tests/host/run))

FUZZ_SECONDS ?= 120
fuzz: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/tests/fuzz/%) ## Fuzz each target for FUZZ_SECONDS
	$(call run_tests,fuzz,--stream --fuzz $(FUZZ_SECONDS) --corpus tests/fuzz/corpus,$(filter $(BUILD)/%,$^))

$(CHECK_PARTS) fuzz: | $(BUILD)/.packages-check
.PHONY: check check-full $(CHECK_PARTS) fuzz

# Ratios against other tools, for payload folders of one's own: PAYLOAD="FOLDER..." ROUNDS=10 LEVEL=19
bench: all $(BUILD)/debug/tests/bench/image-archive | $(BUILD)/.packages-bench ## Measure beside other tools, and write docs/benchmarks.md
	@BUILD=$(abspath $(BUILD)) tests/bench/run --rounds $(or $(ROUNDS),10) --level $(or $(LEVEL),19) \
		--work $(abspath $(BUILD))/bench $(PAYLOAD)
.PHONY: bench
