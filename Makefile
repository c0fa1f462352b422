# Pocket Phi. GNU make 3.81 or later, a C11 compiler, nothing else.
#
#   make                      build ./phi and libphi.a
#   make check                run the tests
#   make install PREFIX=DIR   copy program, library, header and demo model
#   make CC=aarch64-linux-gnu-gcc STATIC=1 phi      cross build
#   OPENMP=1  threads by OpenMP      STATIC=1  no shared libraries

ifeq ($(origin CC),default)
CC := cc
endif
AR ?= ar
CFLAGS ?= -O3 -g
PREFIX ?= /usr/local
B := build

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow
# -ffp-contract=off: a fused multiply-add stands only where the source says so. -fno-math-errno: sqrtf and fmaf become instructions.
BASE := -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -pthread $(WARN)
LIBS := -lm

MACHINE := $(shell $(CC) -dumpmachine)
ifneq ($(findstring x86_64,$(MACHINE))$(findstring amd64,$(MACHINE)),)
ARCH := x86_64
else ifneq ($(findstring aarch64,$(MACHINE))$(findstring arm64,$(MACHINE)),)
ARCH := aarch64
else
ARCH := other
endif

ifdef OPENMP
BASE += -fopenmp
endif
LINK :=
ifdef STATIC
LINK += -static
endif
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null)

# What the objects depend on besides sources: a changed compiler or flag rebuilds everything.
CONFIG := $(CC) $(MACHINE) $(BASE) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LINK)
ifeq ($(filter clean help,$(MAKECMDGOALS)),)
$(shell mkdir -p $(B) && { echo '$(CONFIG)' | cmp -s - $(B)/config || echo '$(CONFIG)' > $(B)/config; })
-include $(B)/isa.mk
endif

LIB_SRC := $(filter-out src/main.c,$(wildcard src/*.c)) $(wildcard src/quant/*.c) src/kernels/kernels.c src/kernels/cpu.c
CLI_SRC := src/main.c $(wildcard src/cli/*.c)
LIB_OBJ := $(LIB_SRC:src/%.c=$(B)/%.o) $(B)/kernels/reference.scalar.o \
	$(LEVELS:%=$(B)/kernels/%.o) $(LEVELS:%=$(B)/kernels/reference.%.o)
CLI_OBJ := $(CLI_SRC:src/%.c=$(B)/%.o)
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/check_*.c))
TOOLS := $(patsubst tools/%.c,$(B)/tools/%,$(wildcard tools/*.c))

all: phi libphi.a

phi: $(CLI_OBJ) libphi.a
	$(CC) $(BASE) $(CFLAGS) $(LDFLAGS) $(LINK) -o $@ $(CLI_OBJ) libphi.a $(LIBS)

libphi.a: $(LIB_OBJ)
	rm -f $@
	$(AR) rcs $@ $(LIB_OBJ)

# The levels that this compiler can build, and their flags: from isa.def.
$(B)/isa.mk: src/kernels/isa.def tools/probe-isa.sh $(B)/config
	$(SHELL) tools/probe-isa.sh '$(CC)' $(ARCH) $(B)

$(B)/%.o: src/%.c $(B)/config
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(CPPFLAGS) -I$(B) -MMD -MP -c -o $@ $<

$(B)/version.o: BASE += -DPHI_COMMIT='"$(COMMIT)"'
$(B)/kernels/kernels.o: $(B)/isa.mk

define level_rules
$(B)/kernels/$(1).o: src/kernels/$(1).c $(B)/config $(B)/isa.mk
	@mkdir -p $$(@D)
	$$(CC) $$(BASE) $$(CFLAGS) $$(CPPFLAGS) $$(FLAGS_$(1)) -MMD -MP -c -o $$@ $$<
$(B)/kernels/reference.$(1).o: src/kernels/reference.c $(B)/config $(B)/isa.mk
	@mkdir -p $$(@D)
	$$(CC) $$(BASE) $$(CFLAGS) $$(CPPFLAGS) $$(FLAGS_$(1)) -DPHI_REFERENCE=phi_reference_$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach level,$(LEVELS),$(eval $(call level_rules,$(level))))

$(B)/kernels/reference.scalar.o: src/kernels/reference.c $(B)/config
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/%: tests/%.c libphi.a $(B)/config
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LINK) -MMD -MP -o $@ $< libphi.a $(LIBS)

$(B)/tools/%: tools/%.c libphi.a $(B)/config
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LINK) -MMD -MP -o $@ $< libphi.a $(LIBS)

tools: $(TOOLS)

check: phi libphi.a $(TESTS) $(TOOLS)
	@$(SHELL) tests/run.sh $(B)

install: phi libphi.a
	mkdir -p $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/phi
	cp phi $(DESTDIR)$(PREFIX)/bin/phi
	cp libphi.a $(DESTDIR)$(PREFIX)/lib/libphi.a
	cp include/phi.h $(DESTDIR)$(PREFIX)/include/phi.h
	cp models/demo.gguf $(DESTDIR)$(PREFIX)/share/phi/demo.gguf

clean:
	rm -rf $(B) phi libphi.a

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n 1,8p

.PHONY: all tools check install clean help
-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TESTS:=.d) $(TOOLS:=.d)
