/*
 * Catalogue: what pool drivers want to know of a pool beyond what every pool has. One record per driver,
 * under the driver's name in the declaration; the inventory keeps them together as pool.settings. What copies
 * alone want to know is there as well.
 */
#ifndef PH_CATALOGUE_SETTINGS_H
#define PH_CATALOGUE_SETTINGS_H

#define PH_FIELDS_image_settings(F, T)                                                             \
    F(T, ENUM, file_system, file_system, PH_OPT, 0, 0, "ext4 (as when left out) or xfs; its size is size.disk_mib")

#define PH_FIELDS_shared_settings(F, T)                                                            \
    F(T, TEXT, path, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "a directory that every allowed node has already; or source") \
    F(T, TEXT, source, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "what to mount: HOST:/PATH, or a device that every allowed node reaches") \
    F(T, TEXT, file_system, none, PH_OPT, 0, 32, "of the source, as mount -t has it: nfs4, ext4, xfs") \
    F(T, TEXTS, options, none, PH_OPT, 0, 32, "of the mount, as mount -o has them")                \
    F(T, BOOL, without_fencing, none, PH_OPT, 0, 0, "true: time alone may prove that the former owner writes no more")

#define PH_FIELDS_ocf_settings(F, T)                                                               \
    F(T, TEXT, agent, none, PH_OPT, 0, 128, "the resource agent, as ocf:heartbeat:Filesystem")     \
    F(T, TEXTS, parameters, none, PH_OPT, 0, PH_ARGUMENTS_MAX, "NAME=value, as its metadata names them") \
    F(T, TEXT, path, none, PH_OPT, 0, PH_TEXT_BYTES_MAX, "where the data is once it is started; empty: a directory of the node's own") \
    F(T, INT, timeout_s, none, PH_OPT, 0, 3600, "for each of its actions; 0: 50")                  \
    F(T, BOOL, without_fencing, none, PH_OPT, 0, 0, "true: time alone may prove that the former owner has let go")

#define PH_FIELDS_pool_settings(F, T)                                                              \
    F(T, ONE, image, image_settings, PH_OPT, 0, 0, "of the driver image")                          \
    F(T, ONE, shared, shared_settings, PH_OPT, 0, 0, "of the driver shared")                       \
    F(T, ONE, ocf, ocf_settings, PH_OPT, 0, 0, "of the driver ocf")                                \
    F(T, INT, verify_interval_s, none, PH_OPT, 0, 31536000, "seconds between full comparisons of each copy; 0: when asked") \
    F(T, INT, bandwidth_kib_s, none, PH_OPT, 0, 1000000000, "limit of its copies together; 0: none")

#define PH_SETTINGS_RECORDS(R) R(image_settings) R(shared_settings) R(ocf_settings) R(pool_settings)

#endif
