/* schema/message/descriptor_set.h - the bytes of a FileDescriptorSet, checked and unpacked. Internal to this folder. */
#ifndef TARN_MESSAGE_DESCRIPTOR_SET_H
#define TARN_MESSAGE_DESCRIPTOR_SET_H

#include <google/protobuf/descriptor.pb-c.h>

#include "schema/base/arena.h"
#include "schema/base/err.h"
#include "schema/base/span.h"

typedef Google__Protobuf__FileDescriptorSet FileDescriptorSet;
typedef Google__Protobuf__FileDescriptorProto FileDescriptor;
typedef Google__Protobuf__DescriptorProto MessageDescriptor;
typedef Google__Protobuf__FieldDescriptorProto FieldDescriptor;
typedef Google__Protobuf__EnumDescriptorProto EnumDescriptor;

/* ERR_INPUT: too large, nested too deep, not a FileDescriptorSet. */
MUST_CHECK int descriptor_set_unpack(struct span bytes, FileDescriptorSet **ret_set, struct err *err);
void descriptor_set_free(FileDescriptorSet **set);

/* The bytes of an option that is an extension with a message type; without it `at` is NULL, as it is for NULL options. An
 * option written in several statements (`option (x).a = 1; option (x).b = 2;`) may stand there in several pieces:
 * behind one another they are one message. */
struct span descriptor_set_option(const ProtobufCMessage *options, uint32_t number, struct arena *arena);

#endif
