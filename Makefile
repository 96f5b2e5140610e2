# The extension itself, plain PGXS: make, make install, make installcheck, with PG_CONFIG=... for another server.
# WERROR=1 makes warnings errors.  Everything else (demo, check, lint, ...) is in GNUmakefile.

MODULE_big = paxoskv
EXTENSION = paxoskv
DATA = $(wildcard sql/*--*.sql)

WIRE = src/transport/paxoskv.pb-c
SOURCES = $(filter-out $(WIRE).c,$(wildcard src/*.c src/*/*.c))
OBJS = $(sort $(SOURCES:.c=.o)) $(WIRE).o

# A regression test is any file in sql/ that is not an install or upgrade script (those have -- in their names).
REGRESS = $(foreach file,$(sort $(wildcard sql/*.sql)),$(if $(findstring --,$(file)),,$(basename $(notdir $(file)))))
REGRESS_OPTS = --inputdir=. --temp-config=test/regress.conf

PG_CPPFLAGS = -Isrc
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-declaration-after-statement -MMD -MP
ifdef WERROR
PG_CFLAGS += -Werror
endif
SHLIB_LINK = -lprotobuf-c -lssl -lcrypto

DEPENDENCIES = $(OBJS:.o=.d)
EXTRA_CLEAN = $(DEPENDENCIES) $(WIRE).c $(WIRE).h build/paxoskv-log

# Nothing here is worth inlining into a query, and bitcode would double the time of a build.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error $(PG_CONFIG) gives no answer: tools/install-deps installs what a build needs, PG_CONFIG=... names another server)
endif
include $(PGXS)

# The generated header has to be there before anything is compiled; later the .d files know who needs it.
$(OBJS): | $(WIRE).h
$(WIRE).c: $(WIRE).h
	@test -f $@ && touch $@
$(WIRE).h: src/transport/paxoskv.proto
	protoc-c --proto_path=src/transport --c_out=src/transport paxoskv.proto

# Generated code is not held to our warnings.
$(WIRE).o: override CFLAGS += -w

-include $(DEPENDENCIES)

# The offline reader of log directories goes beside the server's programs.
LOG_PROGRAM = build/paxoskv-log/paxoskv-log
all: log-program
install: install-log-program
uninstall: uninstall-log-program
.PHONY: log-program install-log-program uninstall-log-program
log-program:
	@$(MAKE) --no-print-directory -C tools/paxoskv-log BUILD=../../$(dir $(LOG_PROGRAM))
install-log-program: log-program
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(LOG_PROGRAM) '$(DESTDIR)$(bindir)/paxoskv-log'
uninstall-log-program:
	rm -f '$(DESTDIR)$(bindir)/paxoskv-log'
