/*
 * Records to and from JSON text, by their descriptions. Pure: bytes in, values out; a core may call
 * it. jansson is an implementation detail of codec.c.
 *
 * Decoding is strict about what it knows (kinds, limits, words of enums, UTF-8, duplicate keys are
 * refused) and ignores keys it does not know, so that versions can be mixed.
 */
#ifndef PH_PROTO_CODEC_H
#define PH_PROTO_CODEC_H

#include "proto/record.h"

enum ph_encoding {
    PH_ENCODE_WIRE,  /* everything; absent optional empties are left out */
    PH_ENCODE_SHOWN, /* for people: no PH_SECRET fields; every other field is there, empty or not */
};

/* The value as compact JSON text in catalogue order; *text_out is owned by the caller (free).
 * 0, -ENOMEM, -EINVAL when a text is not UTF-8. */
int ph_encode(const struct ph_record *record, const void *value, enum ph_encoding encoding,
    char **text_out, size_t *bytes_out);

/* Reads text[0..bytes) into *value, which is initialised and replaced; on failure it is left empty.
 * -EINVAL with error->field a path ("pools[3].copies"), -ENOMEM. */
int ph_decode(const struct ph_record *record, const char *text, size_t bytes, void *value,
    struct ph_error *error);

#endif
