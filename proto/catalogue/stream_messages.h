/*
 * Catalogue: the data channel between agents (agent/stream). DEALER at the sender, ROUTER at the
 * receiver; CURVE both ways; bytes travel in a second frame after the JSON one.
 */
#ifndef PH_CATALOGUE_STREAM_MESSAGES_H
#define PH_CATALOGUE_STREAM_MESSAGES_H

#define PH_FIELDS_stream_open(F)                                                                   \
    F(INT, stream, none, PH_REQ, 1, INT64_MAX, "number of the stream, the opener's choice")        \
    F(NAME, pool, none, PH_REQ, 1, 63, "the pool copied")                                          \
    F(NAME, driver, none, PH_REQ, 1, 63, "how the bytes are to be read")                           \
    F(INT, epoch, none, PH_REQ, 0, INT64_MAX, "the owner's epoch; a lower one than seen is refused") \
    F(INT, sequence, none, PH_REQ, 1, INT64_MAX, "of the copy")                                    \
    F(INT, parent, none, PH_OPT, 0, INT64_MAX, "sequence it is a difference to; 0: whole")         \
    F(INT, parent_epoch, none, PH_OPT, 0, INT64_MAX, "epoch of that parent")                       \
    F(TEXT, hash, none, PH_OPT, 0, 128, "of the content, when the sender knows it beforehand")

#define PH_FIELDS_stream_opened(F)                                                                 \
    F(INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                        \
    F(INT, credit, none, PH_REQ, 0, INT64_MAX, "bytes that may be sent")                           \
    F(INT, have_epoch, none, PH_OPT, 0, INT64_MAX, "of the newest complete copy here; 0: none")    \
    F(INT, have_sequence, none, PH_OPT, 0, INT64_MAX, "of the newest complete copy here")

#define PH_FIELDS_stream_data(F)                                                                   \
    F(INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                        \
    F(INT, offset, none, PH_REQ, 0, INT64_MAX, "of the second frame's first byte, per direction")

#define PH_FIELDS_stream_credit(F)                                                                 \
    F(INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                        \
    F(INT, bytes, none, PH_REQ, 1, INT64_MAX, "more that may be sent")

#define PH_FIELDS_stream_end(F)                                                                    \
    F(INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                        \
    F(INT, bytes, none, PH_REQ, 0, INT64_MAX, "sent in this direction")

#define PH_FIELDS_stream_close(F)                                                                  \
    F(INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                        \
    F(BOOL, complete, none, PH_REQ, 0, 0, "receiver: the copy is durable; sender: all was sent")   \
    F(TEXT, hash, none, PH_OPT, 0, 128, "of the content")                                          \
    F(INT, size, none, PH_OPT, 0, INT64_MAX, "of the content, bytes")                              \
    F(TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why not")

#define PH_STREAM_RECORDS(R)                                                                       \
    R(stream_open) R(stream_opened) R(stream_data) R(stream_credit) R(stream_end) R(stream_close)

#define PH_STREAM_MESSAGES(M)                                                                      \
    M(PH_MSG_STREAM_OPEN, "stream.open", stream_open, PH_ROLE_AGENT, 4096, "owner to holder")      \
    M(PH_MSG_STREAM_OPENED, "stream.opened", stream_opened, PH_ROLE_AGENT, 4096, "holder to owner")\
    M(PH_MSG_STREAM_DATA, "stream.data", stream_data, PH_ROLE_AGENT, 4096, "both ways")            \
    M(PH_MSG_STREAM_CREDIT, "stream.credit", stream_credit, PH_ROLE_AGENT, 4096, "both ways")      \
    M(PH_MSG_STREAM_END, "stream.end", stream_end, PH_ROLE_AGENT, 4096, "both ways: no more bytes")\
    M(PH_MSG_STREAM_CLOSE, "stream.close", stream_close, PH_ROLE_AGENT, 4096, "both ways")

#endif
