# Pocket Phi. GNU make 3.81 or later, a C11 compiler, nothing else.
#
#   make                      build ./phi and libphi.a
#   make check                run the tests
#   make install PREFIX=DIR   copy program, library, header, demo model, man page and completions; make uninstall removes them
#   make CC=aarch64-linux-gnu-gcc STATIC=1 phi         cross build
#   make CC="zig cc -target aarch64-macos" phi         the same by zig
#   OPENMP=1  threads by OpenMP      STATIC=1  no shared libraries      B=DIR  another build folder

ifeq ($(origin CC),default)
CC := cc
endif
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
B := build

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow
# Kernels gain from -O3, what runs for every token or byte of a text from -O2; of the rest only its size counts. CFLAGS of your
# own hold everywhere.
ifeq ($(origin CFLAGS),file)
KERNEL_OPT := -O3
SMALL_OPT := -Os
endif
SMALL := cgroup chat convert cores dfa file gguf gguf_write grammar_build grammar_compile grammar_gbnf grammar_saved hf_config hf_tokenizer imatrix \
	imatrix_collect io memory mix model new_file quantize regex safetensors schema schema_number schema_sets schema_string schema_value session_blocks \
	session_file synthetic team
# -ffp-contract=off: a fused multiply-add stands only where the source says so. -fno-math-errno: sqrtf and fmaf become instructions. No unwind
# tables: they would be a fifteenth of the program, and debuggers have their own.
BASE := -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -fno-unwind-tables -fno-asynchronous-unwind-tables -pthread $(WARN)
LIBS := -lm

# The compiler says for which machine it builds: "x86_64-linux-gnu", "arm64-apple-darwin23", "aarch64-unknown-linux-android24".
MACHINE := $(shell $(CC) -dumpmachine)
ifeq ($(MACHINE)$(filter clean help,$(MAKECMDGOALS)),)
$(error The compiler '$(CC)' does not run: install a C compiler, or name yours with make CC=...)
endif
ifneq ($(findstring x86_64,$(MACHINE))$(findstring amd64,$(MACHINE)),)
ARCH := x86_64
else ifneq ($(findstring aarch64,$(MACHINE))$(findstring arm64,$(MACHINE)),)
ARCH := aarch64
else
ARCH := other
endif

MACOS := $(findstring darwin,$(MACHINE))$(findstring macos,$(MACHINE))

# The archiver that fits the compiler: a cross compiler brings its own, and so does zig.
ifeq ($(origin AR),default)
ifneq ($(findstring zig,$(CC)),)
AR := $(shell echo '$(CC)' | sed 's/^\(.*zig[^ ]*\) cc.*/\1 ar/')
else
AR := $(shell for ar in "$$($(CC) -print-prog-name=ar 2>/dev/null)" ar llvm-ar; do command -v "$$ar" && break; done)
endif
endif

# Flags that let the compiler change results would break the promise of the same bits everywhere.
UNSAFE := $(filter -ffast-math -Ofast -funsafe-math-optimizations -fassociative-math -ffp-contract=fast,$(CC) $(CFLAGS) $(CPPFLAGS))
ifneq ($(UNSAFE),)
$(error $(UNSAFE): phi computes the same bits on every machine, and this flag breaks that; leave it out)
endif

# OPENMP=0 and STATIC=0 mean the same as without them.
OPENMP_FLAG := $(if $(filter-out 0,$(OPENMP)),-fopenmp)
STATIC_FLAG := $(if $(filter-out 0,$(STATIC)),-static)
ifneq ($(STATIC_FLAG),)
ifneq ($(MACOS),)
$(error STATIC=1: macOS has no static programs; without it phi needs only the system library)
endif
endif
BASE += $(OPENMP_FLAG)
LINK := $(STATIC_FLAG)
# Absent in a tarball, where a git folder further up would be another project's.
COMMIT := $(if $(wildcard .git),$(shell git rev-parse --short HEAD 2>/dev/null))

# What the objects depend on besides sources: a changed compiler or flag rebuilds everything.
CONFIG := $(CC) $(MACHINE) $(BASE) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LINK)
ifeq ($(filter clean help,$(MAKECMDGOALS)),)
$(shell mkdir -p $(B) && { echo '$(subst ','\'',$(CONFIG))' | cmp -s - $(B)/config || echo '$(subst ','\'',$(CONFIG))' > $(B)/config; })
$(shell echo '$(COMMIT)' | cmp -s - $(B)/commit || echo '$(COMMIT)' > $(B)/commit)
-include $(B)/isa.mk
endif

LIB_SRC := $(filter-out src/main.c,$(wildcard src/*.c)) $(wildcard src/quant/*.c) src/kernels/kernels.c src/kernels/cpu.c
CLI_SRC := src/main.c $(wildcard src/cli/*.c)
LIB_OBJ := $(LIB_SRC:src/%.c=$(B)/%.o) $(B)/kernels/reference.scalar.o \
	$(LEVELS:%=$(B)/kernels/%.o) $(if $(LEVELS),$(B)/kernels/reference.level.o)
CLI_OBJ := $(CLI_SRC:src/%.c=$(B)/%.o)
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/check_*.c))
FUZZERS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fuzz_*.c))
TOOLS := $(patsubst tools/%.c,$(B)/tools/%,$(wildcard tools/*.c))

all: phi libphi.a

phi: $(CLI_OBJ) libphi.a
	$(CC) $(BASE) $(CFLAGS) $(LDFLAGS) $(LINK) -o $@ $(CLI_OBJ) libphi.a $(LIBS)

libphi.a: $(LIB_OBJ)
	rm -f $@
	$(AR) rcs $@ $(LIB_OBJ)

# The command line without its main(), for tests of its parts.
$(B)/cli.a: $(CLI_OBJ)
	rm -f $@
	$(AR) rcs $@ $(filter-out $(B)/main.o,$(CLI_OBJ))

# The levels that this compiler can build, and their flags: from isa.def.
$(B)/isa.mk: src/kernels/isa.def tools/probe-isa.sh $(B)/config
	$(SHELL) tools/probe-isa.sh '$(CC)' $(ARCH) $(B)

$(B)/%.o: src/%.c $(B)/config
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(OPT) $(CPPFLAGS) -I$(B) -MMD -MP -c -o $@ $<

$(CLI_OBJ) $(SMALL:%=$(B)/%.o): OPT := $(SMALL_OPT)
$(B)/version.o: BASE += -DPHI_COMMIT='"$(COMMIT)"'
$(B)/version.o: $(B)/commit
$(B)/kernels/kernels.o: $(B)/isa.mk

define level_rules
$(B)/kernels/$(1).o: src/kernels/$(1).c $(B)/config $(B)/isa.mk
	@mkdir -p $$(@D)
	$$(CC) $$(BASE) $$(CFLAGS) $$(KERNEL_OPT) $$(CPPFLAGS) $$(FLAGS_$(1)) -MMD -MP -c -o $$@ $$<
endef
$(foreach level,$(LEVELS),$(eval $(call level_rules,$(level))))

$(B)/kernels/reference.scalar.o: src/kernels/reference.c $(B)/config
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

# Once more with the flags of the lowest level, for slots that no level fills.
$(B)/kernels/reference.level.o: src/kernels/reference.c $(B)/config $(B)/isa.mk
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(SMALL_OPT) $(CPPFLAGS) $(FLAGS_$(firstword $(LEVELS))) -DPHI_REFERENCE=phi_reference_level -MMD -MP -c -o $@ $<

$(B)/tests/%: tests/%.c $(B)/cli.a libphi.a $(B)/config
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LINK) -MMD -MP -o $@ $< $(B)/cli.a libphi.a $(LIBS)

$(B)/tools/%: tools/%.c libphi.a $(B)/config
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LINK) -MMD -MP -o $@ $< libphi.a $(LIBS)

tools: $(TOOLS)

check: phi libphi.a $(TESTS) $(FUZZERS) $(TOOLS)
	@CC='$(CC)' PHI_FLAGS='$(CFLAGS) $(LDFLAGS) $(OPENMP_FLAG) $(LINK)' PHI_MAKE='$(MAKE_COMMAND)' $(SHELL) tests/run.sh $(B) $(SHELL)

# A program for another machine cannot write its own manual: then it is left out.
SHARE := $(DESTDIR)$(PREFIX)/share
install: phi libphi.a
	mkdir -p $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include $(SHARE)/phi
	cp phi $(DESTDIR)$(PREFIX)/bin/phi
	cp libphi.a $(DESTDIR)$(PREFIX)/lib/libphi.a
	cp include/phi.h $(DESTDIR)$(PREFIX)/include/phi.h
	cp models/demo.gguf $(SHARE)/phi/demo.gguf
	if ./phi --man > $(B)/phi.1 2> /dev/null; then \
		mkdir -p $(SHARE)/man/man1 $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d; \
		cp $(B)/phi.1 $(SHARE)/man/man1/phi.1; \
		./phi --completion-bash > $(SHARE)/bash-completion/completions/phi; \
		./phi --completion-zsh > $(SHARE)/zsh/site-functions/_phi; \
		./phi --completion-fish > $(SHARE)/fish/vendor_completions.d/phi.fish; \
	fi

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/phi $(DESTDIR)$(PREFIX)/lib/libphi.a $(DESTDIR)$(PREFIX)/include/phi.h $(SHARE)/phi/demo.gguf \
		$(SHARE)/man/man1/phi.1 $(SHARE)/bash-completion/completions/phi $(SHARE)/zsh/site-functions/_phi $(SHARE)/fish/vendor_completions.d/phi.fish

clean:
	rm -rf $(B) phi libphi.a

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

.PHONY: all tools check install uninstall clean help
-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TESTS:=.d) $(FUZZERS:=.d) $(TOOLS:=.d)
