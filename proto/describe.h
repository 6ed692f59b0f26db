/*
 * From a catalogue entry to its description: defines ph_enum_NAME and ph_record_NAME. Private to
 * proto/: catalogue.c uses it for the catalogue, keys.c for the two files it reads and writes.
 */
#ifndef PH_PROTO_DESCRIBE_H
#define PH_PROTO_DESCRIBE_H

#include "proto/record.h"

#define PH_VALUE_WORD(symbol, word, doc) word,
#define PH_VALUE_DOC(symbol, word, doc) doc,
#define PH_DEFINE_ENUM(name)                                                                       \
    static const char *const name##_words[] = {PH_VALUES_##name(PH_VALUE_WORD)};                   \
    static const char *const name##_docs[] = {PH_VALUES_##name(PH_VALUE_DOC)};                     \
    const struct ph_enum ph_enum_##name = {                                                        \
        #name, name##_words, name##_docs, sizeof name##_words / sizeof name##_words[0]};

/* What `ref` points to depends on the kind. */
#define PH_ENUM_OF_NAME(ref) NULL
#define PH_ENUM_OF_TEXT(ref) NULL
#define PH_ENUM_OF_INT(ref) NULL
#define PH_ENUM_OF_BOOL(ref) NULL
#define PH_ENUM_OF_ENUM(ref) &ph_enum_##ref
#define PH_ENUM_OF_TEXTS(ref) NULL
#define PH_ENUM_OF_JSON(ref) NULL
#define PH_ENUM_OF_ONE(ref) NULL
#define PH_ENUM_OF_MANY(ref) NULL
#define PH_RECORD_OF_NAME(ref) NULL
#define PH_RECORD_OF_TEXT(ref) NULL
#define PH_RECORD_OF_INT(ref) NULL
#define PH_RECORD_OF_BOOL(ref) NULL
#define PH_RECORD_OF_ENUM(ref) NULL
#define PH_RECORD_OF_TEXTS(ref) NULL
#define PH_RECORD_OF_JSON(ref) NULL
#define PH_RECORD_OF_ONE(ref) &ph_record_##ref
#define PH_RECORD_OF_MANY(ref) &ph_record_##ref

#define PH_DEFINE_FIELD(T, kind, m, ref, flags, min, max, doc)                                     \
    {#m, PH_FIELD_##kind, flags, offsetof(struct ph_##T, m), min, max, PH_ENUM_OF_##kind(ref),     \
        PH_RECORD_OF_##kind(ref), doc},

#define PH_DEFINE_RECORD(name)                                                                     \
    static const struct ph_field name##_fields[] = {PH_FIELDS_##name(PH_DEFINE_FIELD, name)};      \
    const struct ph_record ph_record_##name = {#name, sizeof(struct ph_##name),                    \
        sizeof name##_fields / sizeof name##_fields[0], name##_fields, ""};

#endif
