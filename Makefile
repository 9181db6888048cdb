# Tarn. `make help` says what each target does. One Makefile for the whole tree; each flavour (release, asan, tsan, fuzz,
# coverage) builds in build/<flavour>/.

FLAVOUR ?= release
BUILD := build/$(FLAVOUR)
GEN := build/gen

CC_release := gcc
CC_asan := gcc
CC_tsan := gcc
CC_fuzz := clang
CC_coverage := gcc
CC := $(CC_$(FLAVOUR))

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wvla -Wcast-qual -Wstrict-prototypes \
	-Wmissing-prototypes -Wswitch-enum -Wnull-dereference
HARDEN := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
# Counted with ops/bench/bench_fold.c: -O3 saves 5% of the projection's instructions and none elsewhere, -flto 1%.
CFLAGS_release := -O2 -g $(HARDEN)
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
CFLAGS_coverage := -O0 -g --coverage -fprofile-update=atomic
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined
LDFLAGS_coverage := --coverage
WERROR ?= -Werror
CPPFLAGS := -I. -isystem $(GEN) -D_GNU_SOURCE -MMD -MP
CFLAGS := -std=c11 $(WARNINGS) $(WERROR) -fPIE $(CFLAGS_$(FLAVOUR))
LDFLAGS := $(LDFLAGS_$(FLAVOUR))
# Either client library of MySQL: MYSQL_CONFIG=/path/to/mysql_config takes Oracle's.
MYSQL_CONFIG ?= mariadb_config
MYSQL_INCLUDE := $(patsubst -I%,-isystem %,$(filter -I%,$(shell $(MYSQL_CONFIG) --include 2>/dev/null)))
MYSQL_LIBS := $(filter -L% -lmariadb -lmysqlclient,$(shell $(MYSQL_CONFIG) --libs 2>/dev/null))
LDLIBS := $(MYSQL_LIBS) -lrdkafka -llmdb -lprotobuf-c -ljansson -linih -lxxhash -lz -lpthread -lm

SCHEMA_SRC := $(wildcard schema/base/*.c schema/message/*.c schema/json/*.c schema/view/*.c schema/store/*.c)
RUNTIME_SRC := $(wildcard ops/runtime/*.c)
PROJECTOR_SRC := $(filter-out projector/main.c,$(wildcard projector/*.c))
QUERY_SRC := $(filter-out query/main.c,$(wildcard query/*.c))
GEN_SRC := $(GEN)/google/protobuf/descriptor.pb-c.c $(GEN)/tarn/view.pb-c.c
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_SUPPORT_SRC := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIBS := $(BUILD)/libprojector.a $(BUILD)/libquery.a $(BUILD)/libruntime.a $(BUILD)/libschema.a
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
DEV_SUPPORT_SRC := ops/dev/demo_lives.c ops/dev/json_message.c
DEV_PROGRAMS := $(patsubst ops/dev/%.c,$(BUILD)/dev/%,$(filter-out $(DEV_SUPPORT_SRC),$(wildcard ops/dev/*.c)))
MODEL_PROGRAMS := $(patsubst tests/model/%.c,$(BUILD)/model/%,$(wildcard tests/model/*.c))
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.c,build/fuzz/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

# `make V=1` shows the commands.
V ?= 0
Q := $(if $(filter 0,$(V)),@)
say = $(if $(filter 0,$(V)),@printf '  %-5s %s\n' $(1) $@)

.DEFAULT_GOAL := build
.SECONDARY:
.DELETE_ON_ERROR:

# Say which packages are missing before the compiler trips over them; the goals that install them themselves, or don't
# compile, needn't ask.
ifneq ($(filter-out help clean run story test arrows format,$(or $(MAKECMDGOALS),build)),)
MISSING := $(shell ops/dev/install.sh missing build)
ifneq ($(MISSING),)
define MISSING_TEXT
these packages are missing: $(MISSING)
Install them with: $(if $(filter-out 0,$(shell id -u)),sudo )ops/dev/install.sh build
(which is apt-get update, then apt-get install --no-install-recommends with the packages above)
endef
$(error $(MISSING_TEXT))
endif
endif

# The two links are no targets of their own: as old or as new as another flavour's program, they would keep this one's from
# being linked (.SECONDARY).
build: $(BUILD)/tarn-projector $(BUILD)/tarn-query build/examples.binpb ## builds the two programs and the examples' descriptor set
	@ln -sf $(FLAVOUR)/tarn-projector $(FLAVOUR)/tarn-query build/

$(BUILD)/tarn-projector: $(call obj,projector/main.c) $(BUILD)/libprojector.a $(BUILD)/libruntime.a $(BUILD)/libschema.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/tarn-query: $(call obj,query/main.c) $(BUILD)/libquery.a $(BUILD)/libruntime.a $(BUILD)/libschema.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libschema.a: $(call obj,$(SCHEMA_SRC)) $(patsubst $(GEN)/%.c,$(BUILD)/obj/gen/%.o,$(GEN_SRC))
$(BUILD)/libruntime.a: $(call obj,$(RUNTIME_SRC))
$(BUILD)/libprojector.a: $(call obj,$(PROJECTOR_SRC))
$(BUILD)/libquery.a: $(call obj,$(QUERY_SRC))
$(BUILD)/libtest.a: $(call obj,$(UNIT_SUPPORT_SRC) ops/dev/json_message.c)
$(BUILD)/libdev.a: $(call obj,$(DEV_SUPPORT_SRC))
$(BUILD)/libbench.a: $(call obj,ops/bench/bench_events.c)
%.a:
	@mkdir -p $(@D) && rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/obj/%.o: %.c | $(GEN_SRC)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(BUILD)/obj/gen/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=c11 -I$(GEN) -fPIE $(CFLAGS_$(FLAVOUR)) -c -o $@ $<

PROTO_INCLUDE := $(shell pkg-config --variable=includedir protobuf 2>/dev/null || echo /usr/include)
$(GEN)/google/protobuf/descriptor.pb-c.c:
	@mkdir -p $(GEN)
	$(call say,PROTO)
	$(Q)protoc-c -I $(PROTO_INCLUDE) --c_out=$(GEN) google/protobuf/descriptor.proto
$(GEN)/tarn/view.pb-c.c: schema/tarn/view.proto $(GEN)/google/protobuf/descriptor.pb-c.c
	$(call say,PROTO)
	$(Q)protoc-c -I schema -I $(PROTO_INCLUDE) --c_out=$(GEN) tarn/view.proto

EXAMPLE_PROTOS := $(sort $(shell find schema/examples -name '*.proto' 2>/dev/null))
build/examples.binpb: $(EXAMPLE_PROTOS) schema/tarn/view.proto
	@mkdir -p build
	$(call say,PROTO)
	$(Q)protoc -I schema -I schema/examples --include_imports --descriptor_set_out=$@ $(patsubst schema/examples/%,%,$(EXAMPLE_PROTOS))

# Schemas that only tests use, each a descriptor set of its own. protoc's warnings (events that are imported to be named in
# texts) matter to nobody here.
TEST_SETS := $(patsubst tests/protos/%.proto,build/protos/%.binpb,$(wildcard tests/protos/*.proto))
build/protos/%.binpb: tests/protos/%.proto $(EXAMPLE_PROTOS) schema/tarn/view.proto
	@mkdir -p $(@D)
	$(call say,PROTO)
	$(Q)protoc -I schema -I schema/examples -I tests/protos --include_imports --descriptor_set_out=$@ $(<F) 2>$@.log || \
	    { cat $@.log >&2; exit 1; }

# gcc doesn't know that a failed cmocka assertion never comes back.
$(BUILD)/obj/tests/unit/%.o: CFLAGS += -Wno-null-dereference

# A unit test links what it tests out of the archives, and nothing else.
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libtest.a $(LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
$(BUILD)/dev/%: $(BUILD)/obj/ops/dev/%.o $(BUILD)/libdev.a $(LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/obj/ops/bench/bench_join.o $(BUILD)/obj/projector/mysql_session.o: CPPFLAGS += $(MYSQL_INCLUDE)
$(BUILD)/bench/%: $(BUILD)/obj/ops/bench/%.o $(BUILD)/libbench.a $(LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# What the Python models and comparisons drive.
$(BUILD)/model/%: $(BUILD)/obj/tests/model/%.o $(LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# The same targets over their corpora, without libFuzzer.
REPLAYS = $(patsubst tests/fuzz/%.c,$(BUILD)/replay/%,$(wildcard tests/fuzz/fuzz_*.c))
replay-programs: $(REPLAYS)
$(BUILD)/replay/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# libFuzzer brings main(): only FLAVOUR=fuzz can link these.
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(LIBS)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

unit-tests: $(UNIT_TESTS) $(TEST_SETS) ## builds the unit tests

model-programs: $(MODEL_PROGRAMS) $(TEST_SETS) ## builds the programs that tests/model drives

dev-programs: $(DEV_PROGRAMS) ## builds the programs of ops/dev

# --- for people ---

JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

run: ## installs what it needs, builds, and shows Tarn at work; KAFKA=real takes Apache Kafka
	@ops/dev/install.sh build run $(if $(filter real,$(KAFKA)),kafka)
	@$(MAKE) --no-print-directory $(JOBS) build dev-programs
	@FLAVOUR=$(FLAVOUR) exec ops/dev/run.sh $(if $(filter real,$(KAFKA)),--real-kafka)

STORY_FLAGS ?=
story: ## MariaDB, Kafka and all of Tarn: 10,000 people are told of a result and look, then everything is killed; a picture in build/story. STORY_FLAGS=--help
	@ops/dev/install.sh build story
	@$(MAKE) --no-print-directory $(JOBS) build dev-programs
	@TARN_FLAVOUR=$(FLAVOUR) exec build/venv/bin/python ops/dev/story $(STORY_FLAGS)

check: unit-tests model-programs build/examples.binpb ## unit tests, and the examples' golden events folded: under a minute
	@ops/dev/install.sh unit python
	@tests/unit/run.sh $(UNIT_TESTS)
	@TARN_FLAVOUR=$(FLAVOUR) build/venv/bin/python -m pytest -q tests/model/test_golden_fold.py

# What shares memory between threads; the rest of the unit tests would show ThreadSanitizer nothing.
THREADED := admin_listener crew flusher materializer power_cut http_server view_answer log metrics served exposure
test: ## installs what it needs, builds, and runs everything, sanitizers and a real Kafka too
	@ops/dev/install.sh build test
	@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=asan unit-tests replay-programs
	@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=tsan $(THREADED:%=build/tsan/tests/test_%)
	@$(MAKE) --no-print-directory $(JOBS) test-installed WITH_SANITIZERS=yes
SANITIZED_TESTS = $(if $(WITH_SANITIZERS),$(UNIT_TESTS:build/release/%=build/asan/%) \
	$(REPLAYS:build/release/%=build/asan/%) $(THREADED:%=build/tsan/tests/test_%))

test-installed: build unit-tests model-programs dev-programs bench-programs
	@TARN_FLAVOUR=$(FLAVOUR) tests/all.sh $(UNIT_TESTS) $(SANITIZED_TESTS)

asan: ## the unit tests under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=asan check
tsan: ## the unit tests under ThreadSanitizer
	@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=tsan check
sanitized: ## everything with programs under AddressSanitizer and UBSan, against a real Kafka too
	@ops/dev/install.sh build test
	@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=asan test-installed

FUZZ_SECONDS ?= 60
fuzz: ## runs each fuzz target for FUZZ_SECONDS (60)
	@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=fuzz fuzz-programs
	@for program in $(FUZZ_PROGRAMS); do \
	    seeds=tests/fuzz/corpus/$${program##*/fuzz_}; found=build/fuzz/found/$${program##*/}; \
	    mkdir -p $$found; [ -d $$seeds ] || seeds=; \
	    echo "--- $$program"; $$program -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$$found/ $$found $$seeds || exit 1; \
	done
fuzz-programs: $(FUZZ_PROGRAMS) $(TEST_SETS)

soak: build model-programs $(BUILD)/tests/test_materializer_stress build/protos/till.binpb ## runs the long tests: kills, poison, full disks, hostile clients, the models; TARN_SEED=N repeats a run, TARN_SOAK=SECONDS is for those without an end
	@ops/dev/install.sh build test mysql
	@TARN_SOAK=$${TARN_SOAK:-600} $(BUILD)/tests/test_materializer_stress
	@TARN_FLAVOUR=$(FLAVOUR) build/venv/bin/python -m pytest tests -m soak -rP --timeout=7200

BENCH_FLAGS ?=
bench: ## measures what is promised beside its peers: half an hour; BENCH_FLAGS="--only reading" takes a part, --help tells
	@ops/dev/install.sh build test bench
	@$(MAKE) --no-print-directory $(JOBS) build bench-programs
	@TARN_FLAVOUR=$(FLAVOUR) build/venv/bin/python ops/bench/bench.py $(BENCH_FLAGS)
bench-programs: $(patsubst ops/bench/%.c,$(BUILD)/bench/%,$(filter-out ops/bench/bench_events.c,$(wildcard ops/bench/bench_*.c)))

OUR_C := $(SCHEMA_SRC) $(RUNTIME_SRC) $(wildcard projector/*.c query/*.c ops/dev/*.c tests/unit/*.c tests/model/*.c \
	tests/fuzz/*.c)
OUR_H := $(wildcard schema/*/*.h ops/runtime/*.h projector/*.h query/*.h tests/unit/*.h)

arrows: ## fails on an #include that the architecture forbids, and shows the largest modules
	@ops/dev/arrows.sh

tidy: ## clang-tidy over what changed since it last found nothing
	@$(MAKE) --no-print-directory --keep-going $(JOBS) tidy-files
tidy-files: $(OUR_C:%.c=build/tidy/%.ok)
TIDY_FLAGS := -std=c11 -I. -isystem $(GEN) $(MYSQL_INCLUDE) -D_GNU_SOURCE
build/tidy/%.ok: %.c .clang-tidy | $(GEN_SRC)
	@mkdir -p $(@D)
	$(call say,TIDY)
	$(Q)clang-tidy --quiet $< -- $(TIDY_FLAGS) 2>/dev/null
	$(Q)clang $(TIDY_FLAGS) -MM -MP -MT $@ -MF $(@:.ok=.d) $< && touch $@

format: ## clang-format, in place
	@clang-format -i $(OUR_C) $(OUR_H)

coverage: ## runs the unit tests and shows which lines they reach
	@$(MAKE) --no-print-directory $(JOBS) FLAVOUR=coverage check
	@gcovr --root . --object-directory build/coverage --exclude 'build/.*' --exclude 'tests/.*' --sort-uncovered \
	    --html-details build/coverage/index.html --print-summary

help: ## prints this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

clean: ## removes what was compiled; Kafka and the Python packages stay
	rm -rf $(filter-out build/venv build/kafka-% build/mysql-%,$(wildcard build/*))

-include $(shell find $(BUILD)/obj build/tidy -name '*.d' 2>/dev/null)
.PHONY: build help clean unit-tests model-programs dev-programs bench-programs replay-programs fuzz-programs bench run check test test-installed asan tsan sanitized \
	fuzz soak arrows tidy tidy-files format coverage
