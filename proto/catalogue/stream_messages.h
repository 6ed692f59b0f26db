/*
 * Catalogue: the data channel between agents (agent/stream). DEALER at the sender, ROUTER at the
 * receiver; CURVE both ways; bytes travel in a second frame after the JSON one.
 */
#ifndef PH_CATALOGUE_STREAM_MESSAGES_H
#define PH_CATALOGUE_STREAM_MESSAGES_H

/* A moment of a pool's data, the same on every node. */
#define PH_FIELDS_pool_point(F, T)                                                                 \
    F(T, INT, epoch, none, PH_REQ, 1, INT64_MAX, "the owner's epoch")                              \
    F(T, INT, sequence, none, PH_REQ, 1, INT64_MAX, "of the copy, or of the released data")

#define PH_FIELDS_stream_open(F, T)                                                                \
    F(T, INT, stream, none, PH_REQ, 1, INT64_MAX, "number of the stream, the opener's choice")     \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool copied")                                       \
    F(T, NAME, driver, none, PH_REQ, 1, 63, "how the bytes are to be read")                        \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "the owner's epoch; a lower one than seen is refused") \
    F(T, INT, sequence, none, PH_REQ, 1, INT64_MAX, "of the copy")                                 \
    F(T, INT, parent, none, PH_OPT, 0, INT64_MAX, "sequence it is a difference to; 0: whole")      \
    F(T, INT, parent_epoch, none, PH_OPT, 0, INT64_MAX, "epoch of that parent")                    \
    F(T, TEXT, hash, none, PH_OPT, 0, 128, "of the content, when the sender knows it beforehand")  \
    F(T, INT, as_of, none, PH_OPT, 0, INT64_MAX, "the moment whose data it holds, the owner's wall clock") \
    F(T, MANY, lineage, pool_point, PH_OPT, 0, PH_LINEAGE_MAX, "points all of whose data is in it, newest first") \
    F(T, BOOL, verify, none, PH_OPT, 0, 0, "nothing of what the receiver has is trusted: all content is compared")

#define PH_FIELDS_stream_opened(F, T)                                                              \
    F(T, INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                     \
    F(T, INT, credit, none, PH_REQ, 0, INT64_MAX, "bytes that may be sent")                        \
    F(T, INT, have_epoch, none, PH_OPT, 0, INT64_MAX, "of the newest complete copy here; 0: none") \
    F(T, INT, have_sequence, none, PH_OPT, 0, INT64_MAX, "of the newest complete copy here")

#define PH_FIELDS_stream_data(F, T)                                                                \
    F(T, INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                     \
    F(T, INT, offset, none, PH_REQ, 0, INT64_MAX, "of the second frame's first byte, per direction")

#define PH_FIELDS_stream_credit(F, T)                                                              \
    F(T, INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                     \
    F(T, INT, bytes, none, PH_REQ, 1, INT64_MAX, "more that may be sent")

#define PH_FIELDS_stream_end(F, T)                                                                 \
    F(T, INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                     \
    F(T, INT, bytes, none, PH_REQ, 0, INT64_MAX, "sent in this direction")

#define PH_FIELDS_stream_close(F, T)                                                               \
    F(T, INT, stream, none, PH_REQ, 1, INT64_MAX, "as opened")                                     \
    F(T, BOOL, complete, none, PH_REQ, 0, 0, "receiver: the copy is durable; sender: all was sent") \
    F(T, TEXT, hash, none, PH_OPT, 0, 128, "of the content")                                       \
    F(T, INT, size, none, PH_OPT, 0, INT64_MAX, "of the content, bytes")                           \
    F(T, TEXT, reason, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "why not")                              \
    F(T, INT, hashed_since_s, none, PH_OPT, 0, INT64_MAX, "files modified before this second are in the hash by size only; 0: all of all") \
    F(T, BOOL, again, none, PH_OPT, 0, 0, "refused for the moment only: open again a little later") \
    F(T, INT, spoilt, none, PH_OPT, 0, INT64_MAX, "of a verify: what was here and was not what it should be; complete: it was made anew")

/* -- files of the pool drivers, under DIR/pools/NAME -- */

/* `epoch`: the fencing token, and what data/ is. data_* speak of data/ and count only while it is there. */
#define PH_FIELDS_pool_trace(F, T)                                                                 \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, INT, epoch, none, PH_REQ, 0, INT64_MAX, "highest epoch activated or received under")      \
    F(T, INT, data_epoch, none, PH_OPT, 0, INT64_MAX, "epoch data/ was last active under; 0: none") \
    F(T, INT, data_sequence, none, PH_OPT, 0, INT64_MAX, "higher than that of any copy made of it") \
    F(T, BOOL, released, none, PH_OPT, 0, 0, "data/ is at rest and is exactly (data_epoch, data_sequence)") \
    F(T, INT, data_inode, none, PH_OPT, 0, INT64_MAX, "of data/: another one is not what was activated") \
    F(T, INT, copied_files, none, PH_OPT, 0, INT64_MAX, "entries in the last copy made of it")     \
    F(T, INT, copied_at_s, none, PH_OPT, 0, INT64_MAX, "second of the wall clock when that copy began") \
    F(T, MANY, lineage, pool_point, PH_OPT, 0, PH_LINEAGE_MAX, "points it began from, newest first")

/* `manifest`: stands beside a complete copy; written last. */
#define PH_FIELDS_pool_manifest(F, T)                                                              \
    F(T, NAME, pool, none, PH_REQ, 1, 63, "the pool")                                              \
    F(T, NAME, driver, none, PH_REQ, 1, 63, "that made it")                                        \
    F(T, INT, epoch, none, PH_REQ, 1, INT64_MAX, "the owner's epoch")                              \
    F(T, INT, sequence, none, PH_REQ, 1, INT64_MAX, "of the copy")                                 \
    F(T, INT, as_of, none, PH_OPT, 0, INT64_MAX, "the moment whose data it holds, the owner's wall clock") \
    F(T, INT, files, none, PH_OPT, 0, INT64_MAX, "entries in it")                                  \
    F(T, INT, bytes, none, PH_OPT, 0, INT64_MAX, "of all files")                                   \
    F(T, TEXT, hash, none, PH_OPT, 0, 128, "of the content, when it was compared")                 \
    F(T, BOOL, made_here, none, PH_OPT, 0, 0, "a snapshot of this node's own data, not received")  \
    F(T, MANY, lineage, pool_point, PH_OPT, 0, PH_LINEAGE_MAX, "points all of whose data is in it, newest first")

#define PH_STREAM_RECORDS(R)                                                                       \
    R(pool_point) R(stream_open) R(stream_opened) R(stream_data) R(stream_credit) R(stream_end) R(stream_close) \
    R(pool_trace) R(pool_manifest)

#define PH_STREAM_MESSAGES(M)                                                                      \
    M(PH_MSG_STREAM_OPEN, "stream.open", stream_open, PH_ROLE_AGENT, 4096, "owner to holder")      \
    M(PH_MSG_STREAM_OPENED, "stream.opened", stream_opened, PH_ROLE_AGENT, 4096, "holder to owner")\
    M(PH_MSG_STREAM_DATA, "stream.data", stream_data, PH_ROLE_AGENT, 4096, "both ways")            \
    M(PH_MSG_STREAM_CREDIT, "stream.credit", stream_credit, PH_ROLE_AGENT, 4096, "both ways")      \
    M(PH_MSG_STREAM_END, "stream.end", stream_end, PH_ROLE_AGENT, 4096, "both ways: no more bytes")\
    M(PH_MSG_STREAM_CLOSE, "stream.close", stream_close, PH_ROLE_AGENT, 4096, "both ways")

#endif
