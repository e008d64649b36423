# One make over the whole tree: every folder's module.mk names its sources, the rules are here.
#
# Variants share the rules: static (what ships: musl, static libraries), debug, asan, tsan (glibc and the
# system's libraries) and fuzz (clang). Their objects lie in build/VARIANT, and another compiler or other
# flags make them again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all

VERSION := $(file <VERSION)
BUILD := build
DESTDIR ?=
PREFIX ?= /usr/local
CPPFLAGS ?=
CFLAGS ?=
LDFLAGS ?=
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
STATIC_CC ?= gcc
STRIP ?= strip
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)
export SOURCE_DATE_EPOCH

define newline


endef
comma := ,
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) '$(2)')

# remember FILE,TEXT: writes FILE when it holds another text, so that what depends on it is made again.
same = $(and $(findstring x$(1)x,x$(2)x),$(findstring x$(2)x,x$(1)x))
remember = $(if $(and $(wildcard $(1)),$(call same,$(strip $(2)),$(strip $(file <$(1))))),,$(shell mkdir -p $(dir $(1)))$(file >$(1),$(strip $(2))))

# Beside other goals, clean comes before anything is written or built, with -j too.
CLEAN_FIRST := $(and $(filter clean,$(MAKECMDGOALS)),$(filter-out clean,$(MAKECMDGOALS)))
ifneq ($(CLEAN_FIRST),)
ifeq ($(findstring n,$(firstword -$(MAKEFLAGS))),)
$(shell rm -rf --one-file-system $(BUILD))
endif
endif

#
# Flags
#

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Wwrite-strings -Wundef -Werror=implicit-function-declaration -Werror=incompatible-pointer-types \
	-Werror=int-conversion -Werror=return-type -Werror=vla -Werror=format-security \
	-Werror=unused-result -Werror=missing-prototypes -Werror=strict-prototypes $(if $(WERROR),-Werror)
BASE_CPPFLAGS := -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DBYOH_VERSION='"$(VERSION)"'
BASE_CFLAGS := -std=gnu11 -g -ffile-prefix-map=$(CURDIR)=. $(WARNINGS)

# Flags that not every compiler and machine has are tried once for each compiler.
PROBED := $(BUILD)/probed-$(notdir $(firstword $(STATIC_CC))).mk
HARDENING_WANTED := -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	-ftrivial-auto-var-init=zero
probe = $(shell printf 'int main(void) { return 0; }' | \
	$(STATIC_CC) -Werror $(1) -x c -o /dev/null - >/dev/null 2>&1 && echo '$(1)')
ifeq ($(wildcard $(PROBED)),)
HARDENING := $(foreach flag,$(HARDENING_WANTED),$(call probe,$(flag)))
$(call remember,$(PROBED),HARDENING := $(HARDENING))
else
include $(PROBED)
endif
HARDENING_LDFLAGS := -Wl,-z,relro,-z,now,-z,noexecstack

SYSTEM_LIBS := -lcurl -lssl -lcrypto -larchive -lzstd -lyaml -lpthread

# The libraries' folder in the cache is linked here by the rule of its stamp. Threads of musl get 128 KiB of
# stack unless the program's header asks for more.
STATIC_LIBS := $(BUILD)/static/libs
static.cc = $(STATIC_CC) -specs=$(STATIC_LIBS)/lib/static-pie.specs
static.cflags := -O2 -fPIE -ffunction-sections -fdata-sections -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 \
	$(HARDENING) -isystem $(STATIC_LIBS)/include
static.ldflags := $(HARDENING_LDFLAGS) -Wl,--gc-sections,-z,stack-size=1048576 -L$(STATIC_LIBS)/lib
static.ldlibs := -lcurl -lssl -lcrypto -larchive -llzma -lz -lzstd -lyaml
static.needs := $(BUILD)/static/libs.stamp

debug.cc = $(CC)
debug.cflags := -O1 -fPIE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 $(HARDENING)
debug.ldflags := -pie $(HARDENING_LDFLAGS)
debug.ldlibs := $(SYSTEM_LIBS)

asan.cc = $(CC)
asan.cflags := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
asan.ldflags := -fsanitize=address,undefined
asan.ldlibs := $(SYSTEM_LIBS)

tsan.cc = $(CC)
tsan.cflags := -O1 -fno-omit-frame-pointer -fPIE -fsanitize=thread
tsan.ldflags := -pie -fsanitize=thread
tsan.ldlibs := $(SYSTEM_LIBS)

fuzz.cc = $(CLANG)
fuzz.cflags := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -Wno-format-nonliteral
fuzz.ldflags := -fsanitize=fuzzer,address,undefined
fuzz.ldlibs := $(SYSTEM_LIBS)

VARIANTS := static debug asan tsan fuzz
.PHONY: all install clean help

all: ## Build build/byoh-install and build/byoh-bundle (the default)

#
# Modules
#

LIBRARIES :=
PROGRAMS :=
TEST_PROGRAMS :=
include $(sort $(wildcard */module.mk))

# A program without sources is not there yet.
PROGRAMS := $(foreach program,$(PROGRAMS),$(if $($(program).sources),$(program)))
SOURCES := $(sort $(foreach each,$(LIBRARIES) $(PROGRAMS) $(TEST_PROGRAMS),$($(each).sources)))

#
# Rules
#

define variant_rules
$(call remember,$(BUILD)/$(1)/flags,$($(1).cc) $(BASE_CPPFLAGS) $(BASE_CFLAGS) $($(1).cflags) \
	$($(1).ldflags) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS))

$(BUILD)/$(1)/%.o: %.c $(BUILD)/$(1)/flags $($(1).needs)
	$$(call say,CC,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$($(1).cc) $(BASE_CPPFLAGS) $(CPPFLAGS) $(BASE_CFLAGS) $($(1).cflags) $(CFLAGS) \
		-MMD -MP -MT $$@ -MF $$(@:.o=.d) -c -o $$@.tmp $$<
	$(Q)mv $$@.tmp $$@

$(foreach library,$(LIBRARIES),$(call library_rule,$(1),$(library)))
$(foreach program,$(PROGRAMS),$(call program_rule,$(1),$(program)))
endef

# objects VARIANT,THING
objects = $(patsubst %.c,$(BUILD)/$(1)/%.o,$($(2).sources))
archives = $(patsubst %,$(BUILD)/$(1)/%.a,$($(2).libraries))

# The list of the objects is remembered, since a source that went away leaves no newer file behind.
define library_rule
$(call remember,$(BUILD)/$(1)/$(2).list,$(call objects,$(1),$(2)))
$(BUILD)/$(1)/$(2).a: $(call objects,$(1),$(2)) $(BUILD)/$(1)/$(2).list
	$$(call say,AR,$$@)
	$(Q)rm -f $$@.tmp
	$(Q)ar rcsD $$@.tmp $(call objects,$(1),$(2))
	$(Q)mv $$@.tmp $$@

endef

define program_rule
$(BUILD)/$(1)/$(2): $(call objects,$(1),$(2)) $(call archives,$(1),$(2)) $(BUILD)/$(1)/flags $($(1).needs)
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$($(1).cc) $($(1).ldflags) $(LDFLAGS) -o $$@.tmp $(call objects,$(1),$(2)) \
		$(call archives,$(1),$(2)) $($(2).ldlibs) $($(1).ldlibs)
	$(Q)mv $$@.tmp $$@

endef

$(foreach variant,$(VARIANTS),$(eval $(call variant_rules,$(variant))))
$(foreach variant,debug asan tsan,$(foreach program,$(TEST_PROGRAMS),\
	$(eval $(call program_rule,$(variant),$(program)))))

# With libFuzzer its own main() takes the place of the replay's.
$(foreach target,$(FUZZ_TARGETS),$(eval fuzz-$(target).sources := tests/fuzz/$(target).c)\
	$(eval fuzz-$(target).libraries := $(TEST_LIBRARIES))\
	$(eval $(subst $(BUILD)/fuzz/fuzz-$(target):,$(BUILD)/fuzz/tests/fuzz/$(target):,$(call program_rule,fuzz,fuzz-$(target)))))

-include $(foreach variant,$(VARIANTS),$(patsubst %.c,$(BUILD)/$(variant)/%.d,$(SOURCES)))

# What ships has no symbols; build/static keeps the same program with them.
$(PROGRAMS:%=$(BUILD)/%): $(BUILD)/%: $(BUILD)/static/%
	$(call say,STRIP,$@)
	$(Q)$(STRIP) -s -o $@.tmp $<
	$(Q)mv $@.tmp $@

all: $(PROGRAMS:%=$(BUILD)/%)

$(STATIC_LIBS).stamp: scripts/static-libs $(if $(wildcard $(STATIC_LIBS)/versions.tsv),,missing) \
		| $(BUILD)/.packages-build
	@mkdir -p $(@D)
	@prefix=$$(scripts/static-libs) && ln -sfn "$$prefix" $(STATIC_LIBS)
	@touch $@

missing:
.PHONY: missing

# Asked once for each list of packages; a missing one is named together with what installs it.
$(BUILD)/.packages-%: scripts/packages scripts/setup
	@scripts/setup --missing $*
	@mkdir -p $(@D)
	@touch $@

$(foreach variant,$(filter-out static,$(VARIANTS)),$(BUILD)/$(variant)/flags): | $(BUILD)/.packages-check

#
# The rest
#

install: all ## Install below DESTDIR and PREFIX (/usr/local)
	$(foreach program,$(PROGRAMS),install -D -m 0755 $(BUILD)/$(program) \
		$(DESTDIR)$(PREFIX)/$($(program).bindir)/$(program)$(newline))
	install -d $(DESTDIR)$(PREFIX)/share/doc/byoh/licenses
	install -m 0644 LICENSE $(STATIC_LIBS)/versions.tsv $(DESTDIR)$(PREFIX)/share/doc/byoh
	install -m 0644 $(STATIC_LIBS)/licenses/* $(DESTDIR)$(PREFIX)/share/doc/byoh/licenses

define compile_command
  {"directory": "$(CURDIR)", "file": "$(1)", "command": "$(subst ",\",$(debug.cc) $(BASE_CPPFLAGS) $(CPPFLAGS) $(BASE_CFLAGS) $(debug.cflags) $(CFLAGS) -c $(1))"}
endef
compile_commands.json: $(SOURCES) Makefile $(wildcard */module.mk) ## Write the compiler's commands for editors
	$(file >$@.tmp,[)
	$(foreach source,$(SOURCES),$(file >>$@.tmp,$(call compile_command,$(source))$(if $(filter $(lastword $(SOURCES)),$(source)),,$(comma))))
	$(file >>$@.tmp,])
	@mv $@.tmp $@

clean: ## Remove what was built here, not the cache
	$(if $(CLEAN_FIRST),@:,rm -rf --one-file-system $(BUILD) compile_commands.json)

help: ## Show this
	@awk -F ':.*## ' '/^[a-z][a-z_.-]*:.*## / { printf "  %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST) | sort
	@printf '\nVariables: V=1 shows the commands, WERROR=1 makes warnings errors, CC CFLAGS LDFLAGS DESTDIR PREFIX\n'
