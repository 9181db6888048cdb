# Tarn. `make help` says what each target does. One Makefile, no recursion; each flavour builds in build/<flavour>/.

FLAVOUR ?= release
BUILD := build/$(FLAVOUR)
GEN := build/gen

CC_release := gcc
CC_asan := gcc
CC_tsan := gcc
CC_fuzz := clang
CC := $(CC_$(FLAVOUR))

PKGS := liblmdb libprotobuf-c rdkafka jansson libxxhash
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wvla -Wcast-qual -Wstrict-prototypes \
	-Wmissing-prototypes -Wswitch-enum -Wnull-dereference
HARDEN := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
CFLAGS_release := -O2 -g $(HARDEN)
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined
WERROR ?= -Werror
CPPFLAGS := -I. -isystem $(GEN) -D_GNU_SOURCE -MMD -MP
CFLAGS := -std=c11 $(WARNINGS) $(WERROR) -fPIE $(CFLAGS_$(FLAVOUR))
LDFLAGS := $(LDFLAGS_$(FLAVOUR))
LDLIBS := -lrdkafka -llmdb -lprotobuf-c -ljansson -linih -lxxhash -lz -lpthread -lm

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
DEV_PROGRAMS := $(patsubst ops/dev/%.c,$(BUILD)/dev/%,$(wildcard ops/dev/*.c))
MODEL_PROGRAMS := $(patsubst tests/model/%.c,$(BUILD)/model/%,$(wildcard tests/model/*.c))
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.c,build/fuzz/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.DEFAULT_GOAL := build
.SECONDARY:
.DELETE_ON_ERROR:

build: build/tarn-projector build/tarn-query build/examples.binpb ## builds the two programs and the examples' descriptor set

build/tarn-projector: $(BUILD)/tarn-projector
	@ln -sf $(FLAVOUR)/tarn-projector $@
build/tarn-query: $(BUILD)/tarn-query
	@ln -sf $(FLAVOUR)/tarn-query $@

$(BUILD)/tarn-projector: $(call obj,projector/main.c) $(BUILD)/libprojector.a $(BUILD)/libruntime.a $(BUILD)/libschema.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/tarn-query: $(call obj,query/main.c) $(BUILD)/libquery.a $(BUILD)/libruntime.a $(BUILD)/libschema.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libschema.a: $(call obj,$(SCHEMA_SRC)) $(patsubst $(GEN)/%.c,$(BUILD)/obj/gen/%.o,$(GEN_SRC))
$(BUILD)/libruntime.a: $(call obj,$(RUNTIME_SRC))
$(BUILD)/libprojector.a: $(call obj,$(PROJECTOR_SRC))
$(BUILD)/libquery.a: $(call obj,$(QUERY_SRC))
$(BUILD)/libtest.a: $(call obj,$(UNIT_SUPPORT_SRC))
%.a:
	@mkdir -p $(@D) && rm -f $@
	ar rcs $@ $^

$(BUILD)/obj/%.o: %.c | $(GEN_SRC)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(BUILD)/obj/gen/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -I$(GEN) -fPIE $(CFLAGS_$(FLAVOUR)) -c -o $@ $<

PROTO_INCLUDE := $(shell pkg-config --variable=includedir protobuf 2>/dev/null || echo /usr/include)
$(GEN)/google/protobuf/descriptor.pb-c.c:
	@mkdir -p $(GEN)
	protoc-c -I $(PROTO_INCLUDE) --c_out=$(GEN) google/protobuf/descriptor.proto
$(GEN)/tarn/view.pb-c.c: schema/tarn/view.proto $(GEN)/google/protobuf/descriptor.pb-c.c
	protoc-c -I schema -I $(PROTO_INCLUDE) --c_out=$(GEN) tarn/view.proto

EXAMPLE_PROTOS := $(sort $(shell find schema/examples -name '*.proto' 2>/dev/null))
build/examples.binpb: $(EXAMPLE_PROTOS) schema/tarn/view.proto
	@mkdir -p build
	protoc -I schema -I schema/examples --include_imports --descriptor_set_out=$@ $(patsubst schema/examples/%,%,$(EXAMPLE_PROTOS))

# Schemas that only tests use, each a descriptor set of its own.
TEST_SETS := $(patsubst tests/protos/%.proto,build/protos/%.binpb,$(wildcard tests/protos/*.proto))
build/protos/%.binpb: tests/protos/%.proto $(EXAMPLE_PROTOS) schema/tarn/view.proto
	@mkdir -p $(@D)
	protoc -I schema -I schema/examples -I tests/protos --include_imports --descriptor_set_out=$@ $(<F)

# A unit test links what it tests out of the archives, and nothing else.
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libtest.a $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
$(BUILD)/dev/%: $(BUILD)/obj/ops/dev/%.o $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# What the Python models and comparisons drive.
$(BUILD)/model/%: $(BUILD)/obj/tests/model/%.o $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# libFuzzer brings main(): only FLAVOUR=fuzz can link these.
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

unit-tests: $(UNIT_TESTS) $(TEST_SETS) ## builds the unit tests

model-programs: $(MODEL_PROGRAMS) $(TEST_SETS) ## builds the programs that tests/model drives

help: ## prints this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

clean: ## removes build/
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.PHONY: build help clean unit-tests model-programs
